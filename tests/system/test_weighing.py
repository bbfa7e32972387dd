"""The scales themselves: what they would not let pass."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kmemscope.model.census import Census, Charge, Owner, SlabCache
from kmemscope.model.kinds import Kind
from tests.system.weighing import PAGE_BYTES, POSSIBLE_CPUS, Weighing, assert_found
from tests.workloads.workload import unreclaimable

MIB = 1 << 20
CGROUP, OTHER = 7, 8
FILES = Charge(CGROUP, Kind.SLAB_UNRECLAIMABLE, "filp", None, 1_000, 8 * MIB)
STACKS = Charge(CGROUP, Kind.KERNEL_STACK, None, None, 512, 2 * MIB)
STOCK = POSSIBLE_CPUS * (256 + PAGE_BYTES)


def weighing(charged_bytes: int, *charges: Charge, rows: dict[str, int] | None = None) -> Weighing:
    """A census of these charges against a number of the kernel."""
    census = Census(
        charges=charges,
        caches=(SlabCache("filp", ("file_alias", "filp"), 256, reclaimable=False),),
        owners=(Owner(CGROUP, "one", None, online=True),),
        pages=0,
        faults=0,
        unowned_slabs=0,
        races=0,
        percpu_unread_bytes=0,
        seconds=0.0,
    )
    return Weighing(census, frozenset({CGROUP}), charged_bytes, rows or {})


def test_a_stock_may_be_missing_and_no_more() -> None:
    assert not weighing(10 * MIB + STOCK, FILES, STACKS).disagreement
    assert "not named" in weighing(10 * MIB + STOCK + 1, FILES, STACKS).disagreement


def test_of_a_large_cgroup_a_thousandth_may_be_missing() -> None:
    large = replace(FILES, bytes=1_000 * MIB)
    assert not weighing(1_001 * MIB, large).disagreement
    assert "only 99.8" in weighing(1_002 * MIB, large).disagreement


def test_counting_twice_is_noticed() -> None:
    assert "more than" in weighing(10 * MIB, FILES, FILES, STACKS).disagreement


def test_a_kind_must_match_its_own_row_even_where_the_sum_is_right() -> None:
    right = {Kind.KERNEL_STACK: 2 * MIB, Kind.SLAB_UNRECLAIMABLE: 8 * MIB}
    wrong = {Kind.KERNEL_STACK: 3 * MIB, Kind.SLAB_UNRECLAIMABLE: 7 * MIB}
    assert not weighing(10 * MIB, FILES, STACKS, rows=right).disagreement
    disagreement = weighing(10 * MIB, FILES, STACKS, rows=wrong).disagreement
    assert "kernel_stack" in disagreement
    assert "slab_unreclaimable" in disagreement


def test_a_merged_cache_is_found_by_any_of_its_names() -> None:
    found = weighing(8 * MIB, FILES)
    assert found.objects(["file_alias"]) == found.objects(["filp"]) == 1_000
    assert found.objects(["dentry"]) == 0


def test_what_another_cgroup_pays_for_does_not_count() -> None:
    assert weighing(0, replace(FILES, cgroup_id=OTHER)).named_bytes == 0


def test_too_few_objects_are_too_few() -> None:
    assert_found(weighing(8 * MIB, FILES), unreclaimable("filp", per_unit=2), made=500)
    with pytest.raises(AssertionError, match="at least 1002"):
        assert_found(weighing(8 * MIB, FILES), unreclaimable("filp", per_unit=2), made=501)
