"""Containers side by side: each pays for its own, and one census serves both."""

from __future__ import annotations

import pytest

from kmemscope.observe.census import CensusTaker
from tests.system.cgroups import TestCgroup, child
from tests.system.running import run_workload
from tests.system.weighing import Weighing, assert_found, weigh
from tests.workloads.registry import WORKLOADS

PAIRS = [
    ("unix_datagrams", "posix_timers"),
    ("page_tables", "queued_signals"),
    ("tmpfs_files", "epoll_items"),
    ("full_pipes", "mappings"),
]
"""Workloads that make nothing of the same kind."""
SURROUNDINGS = 0.1
"""What an interpreter has of anything, as a share of what a workload makes of it."""


@pytest.mark.parametrize(("left", "right"), PAIRS)
def test_what_one_makes_is_not_charged_to_the_other(
    left: str, right: str, cgroup: TestCgroup, sibling: TestCgroup, taker: CensusTaker
) -> None:
    with run_workload(left, cgroup) as here, run_workload(right, sibling) as there:
        census = taker.take()
    both = (Weighing.of(census, cgroup), here), (Weighing.of(census, sibling), there)
    for (own, running), (other, _), name in zip(both, reversed(both), (left, right), strict=True):
        for expected in WORKLOADS[name].expects:
            assert_found(own, expected, running.made)
            assert other.found(expected) <= SURROUNDINGS * own.found(expected), other.largest()


def test_two_sizes_of_one_workload_differ_by_exactly_the_difference(
    cgroup: TestCgroup, sibling: TestCgroup, taker: CensusTaker
) -> None:
    with run_workload("queued_signals", cgroup, 1_000), run_workload("queued_signals", sibling, 7_000):
        census = taker.take()
        few, many = Weighing.of(census, cgroup), Weighing.of(census, sibling)
    assert many.objects(["sigqueue"]) - few.objects(["sigqueue"]) == 6_000


def test_a_parent_pays_for_what_its_children_pay_together(cgroup: TestCgroup, taker: CensusTaker) -> None:
    with (
        child(cgroup, "left") as left,
        child(cgroup, "right") as right,
        run_workload("unix_datagrams", left),
        run_workload("posix_timers", right),
    ):
        whole = weigh(taker, cgroup)
        parts = Weighing.of(whole.census, left), Weighing.of(whole.census, right)
    own = sum(each.bytes for each in whole.census.charges if each.cgroup_id == cgroup.id)
    assert whole.named_bytes == own + sum(each.named_bytes for each in parts)
    assert all(each.named_bytes > 2_000_000 for each in parts)
