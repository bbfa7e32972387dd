"""The whole node: all cgroups together pay for no more than there is, and for nothing that is not."""

from __future__ import annotations

from pathlib import Path

from kmemscope.model.census import Census
from kmemscope.model.kinds import Kind
from kmemscope.observe.census import CensusTaker
from tests.system.cgroups import TestCgroup
from tests.system.running import run_workload
from tests.system.weighing import POSSIBLE_CPUS

ROUNDS = 4
ROWS = {
    Kind.SLAB_RECLAIMABLE: ("SReclaimable",),
    Kind.SLAB_UNRECLAIMABLE: ("SUnreclaim",),
    Kind.KERNEL_STACK: ("KernelStack",),
    Kind.PAGETABLES: ("PageTables", "SecPageTables"),
    Kind.PERCPU: ("Percpu",),
    Kind.VMALLOC: ("VmallocUsed",),
}
"""Where /proc/meminfo has the bytes of a kind, charged or not."""
OWNERS_OF_PERCPU = (POSSIBLE_CPUS + 2) / POSSIBLE_CPUS
"""For every 4 bytes of percpu memory a pointer is charged as well, which the row of percpu memory has not."""
OWNERS_OF_OBJECTS = 1.125
"""A pointer for each slab object is charged as well: much for the smallest ones, little on average."""
TOP_LEVEL_TABLES = 1.5
"""The row of page tables is without the uppermost levels before 6.16."""
SLACK_BYTES = 4 << 20
"""What comes and goes on the node between the two readings."""


def node_bytes() -> dict[str, int]:
    """The rows of /proc/meminfo in bytes."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines}


def paid_bytes(census: Census, kind: Kind) -> int:
    """Bytes of a kind that anybody pays for."""
    return sum(each.bytes for each in census.charges if each.kind is kind)


def test_no_kind_is_larger_than_on_the_whole_node(cgroup: TestCgroup, taker: CensusTaker) -> None:
    factors = {
        Kind.SLAB_RECLAIMABLE: OWNERS_OF_OBJECTS,
        Kind.SLAB_UNRECLAIMABLE: OWNERS_OF_OBJECTS,
        Kind.PERCPU: OWNERS_OF_PERCPU,
        Kind.PAGETABLES: TOP_LEVEL_TABLES,
    }
    with run_workload("bpf_percpu_values", cgroup):
        census = taker.take()
        rows = node_bytes()
    for kind, names in ROWS.items():
        there = sum(rows.get(name, 0) for name in names) * factors.get(kind, 1.0)
        assert paid_bytes(census, kind) <= there + SLACK_BYTES, f"{kind} of {there}"


def test_every_payer_is_a_cgroup(cgroup: TestCgroup, taker: CensusTaker) -> None:
    """What freed objects hold must not be taken for a payer: timers leave lists and pointers behind."""
    for _ in range(ROUNDS):
        with run_workload("posix_timers", cgroup):
            censuses = [taker.take() for _ in range(3)]
        for census in [*censuses, taker.take()]:
            assert {each.cgroup_id for each in census.charges} <= {each.cgroup_id for each in census.owners}
            strange = [each for each in census.owners if not each.cgroup_id or not each.name.isprintable()]
            assert not strange, f"{census.races} races"
