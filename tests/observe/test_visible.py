"""In a container that can take the census, the host's other cgroups are not the container's."""

from dataclasses import replace

from kmemscope.model.census import Owner
from kmemscope.model.kinds import Kind
from kmemscope.model.node import Cgroup
from kmemscope.observe.machine import visible
from tests.explain.looks import census, slab

CONTAINER = Cgroup("/", 10, 1)
WORKER = Cgroup("/worker", 11, 1)


def owner(cgroup_id: int, parent_id: int | None) -> Owner:
    return Owner(cgroup_id, f"c{cgroup_id}", parent_id, online=True)


def test_payers_outside_of_what_is_seen_are_left_out() -> None:
    whole = replace(
        census(slab(10, "dentry", 1, 192), slab(12, "dentry", 2, 192), slab(99, "dentry", 5000, 192)),
        owners=(owner(10, 3), owner(12, 11), owner(99, 3), owner(3, None)),
    )

    ours = visible(whole, (CONTAINER, WORKER))

    assert {charge.cgroup_id for charge in ours.charges} == {10, 12}
    assert {each.cgroup_id for each in ours.owners} == {10, 12}
    assert {charge.kind for charge in ours.charges} <= set(Kind)


def test_a_circle_of_parents_ends() -> None:
    whole = replace(census(slab(5, "dentry", 1, 192)), owners=(owner(5, 6), owner(6, 5)))

    assert visible(whole, (CONTAINER,)).charges == ()
