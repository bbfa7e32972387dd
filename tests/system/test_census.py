"""The census names what each workload is known to make, and adds up to the kernel's own number."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path

import pytest

from kmemscope.model.kinds import Kind
from kmemscope.observe.census import CensusTaker
from tests.system.cgroups import TestCgroup, settled_kernel_bytes
from tests.system.conftest import COVERAGE
from tests.system.running import WorkloadRefusedError, run_workload
from tests.system.weighing import PATIENCE_SECONDS, POSSIBLE_CPUS, Weighing, assert_covered, assert_found, weigh
from tests.workloads.registry import WORKLOADS
from tests.workloads.workload import Workload


def kernel_version() -> tuple[int, int]:
    """Major and minor number of the running kernel."""
    major, minor, *_ = platform.release().split(".")
    return int(major), int(minor)


def record_coverage(workload: Workload, cgroup: TestCgroup, weighing: Weighing) -> None:
    """Add a line to the table of the kernel matrix, where one is asked for."""
    if COVERAGE not in os.environ:
        return
    row = {
        "kernel": platform.release(),
        "cgroup_version": cgroup.version,
        "workload": workload.name,
        "charged_bytes": weighing.charged_bytes,
        "named_bytes": weighing.named_bytes,
        "coverage": round(weighing.coverage, 6),
        "kinds": {each: [weighing.bytes_of(each), weighing.rows[each]] for each in Kind if each in weighing.rows},
    }
    with Path(os.environ[COVERAGE]).open("a") as table:
        table.write(json.dumps(row) + "\n")


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=lambda each: each.name)
def test_what_a_workload_makes_is_named(workload: Workload, cgroup: TestCgroup, taker: CensusTaker) -> None:
    try:
        with run_workload(workload.name, cgroup) as running:
            weighing = weigh(taker, cgroup)
            made = running.made
    except WorkloadRefusedError as refusal:
        pytest.skip(str(refusal))
    record_coverage(workload, cgroup, weighing)
    assert made > 0
    for expected in workload.expects:
        if kernel_version() >= expected.since:
            assert_found(weighing, expected, made)
    for cache in workload.uncharged:
        assert weighing.objects([cache]) == 0, f"{cache} is charged on this kernel"
    assert_covered(weighing)


def test_an_empty_cgroup_pays_for_nothing(cgroup: TestCgroup, taker: CensusTaker) -> None:
    assert settled_kernel_bytes(cgroup) == 0
    assert weigh(taker, cgroup).charges == []


SHEAF_OBJECTS = 64


def test_nothing_is_left_behind_when_a_workload_has_ended(cgroup: TestCgroup, taker: CensusTaker) -> None:
    with run_workload("epoll_items", cgroup, 2_000):
        assert weigh(taker, cgroup).objects(["eventpoll_epi"]) >= 2_000
    deadline = time.monotonic() + PATIENCE_SECONDS  # some objects go only after RCU grace periods
    after = weigh(taker, cgroup)
    while cgroup.kernel_bytes() > after.stock_bytes and time.monotonic() < deadline:
        after = weigh(taker, cgroup)
    assert settled_kernel_bytes(cgroup) <= after.stock_bytes
    # From 7.0 an object freed after a grace period is charged until its CPU's sheaf of them is full (mm/slub.c).
    assert after.objects(["eventpoll_epi"]) <= SHEAF_OBJECTS * POSSIBLE_CPUS
