"""The second witness: the kernel's own rows for a cgroup, also on cgroup v1, where no file has them."""

from __future__ import annotations

import os
import time

import pytest

from kmemscope.model.kinds import Kind
from kmemscope.observe.census import CensusTaker
from tests.system.cgroups import TestCgroup
from tests.system.running import run_workload

THREADS = 400
STACK_BYTES = 16 * 1024
FLUSH_SECONDS = 2.5
LAG_BYTES = 64 * os.sysconf("SC_NPROCESSORS_CONF") * os.sysconf("SC_PAGE_SIZE")


def release() -> tuple[int, ...]:
    """Series of this kernel."""
    return tuple(int(part) for part in os.uname().release.split(".")[:2])


def test_rows_are_read_only_where_their_place_is_known(taker: CensusTaker, cgroup: TestCgroup):
    with run_workload("threads", cgroup, THREADS):
        census = taker.take()

    known = [owner for owner in census.owners if owner.rows]
    assert bool(known) == ((6, 1) <= release() < (6, 10))


def test_the_kernels_rows_agree_with_the_census(taker: CensusTaker, cgroup: TestCgroup):
    if not (6, 1) <= release() < (6, 10):
        pytest.skip("needs a kernel whose rows are in the order of their enum: 6.1 to 6.9")
    with run_workload("threads", cgroup, THREADS):
        time.sleep(FLUSH_SECONDS)
        census = taker.take()

    rows = next(owner.rows for owner in census.owners if owner.cgroup_id == cgroup.id)
    for kind in (Kind.KERNEL_STACK, Kind.PAGETABLES, Kind.SLAB_RECLAIMABLE, Kind.SLAB_UNRECLAIMABLE):
        counted = sum(each.bytes for each in census.charges if (each.cgroup_id, each.kind) == (cgroup.id, kind))
        assert abs(rows[kind] - counted) <= LAG_BYTES, kind
    assert rows[Kind.KERNEL_STACK] >= THREADS * STACK_BYTES
