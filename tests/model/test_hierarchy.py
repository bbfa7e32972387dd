import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmemscope.model.census import Census, Charge, Owner
from kmemscope.model.explanation import EffectiveLimit, GoneCgroup
from kmemscope.model.hierarchy import ancestors, effective_limit, gone, paths_by_id, within
from kmemscope.model.kinds import Kind
from kmemscope.model.node import Cgroup
from kmemscope.model.observation import Observation
from tests.strategies import observations, trees


def census_of(owners: tuple[Owner, ...] = (), charges: tuple[Charge, ...] = ()) -> Census:
    return Census(charges, (), owners, 0, 0, 0, 0, 0, 0.0)


def charge(cgroup_id: int, amount: int) -> Charge:
    return Charge(cgroup_id, Kind.PERCPU, None, None, 1, amount)


@pytest.mark.parametrize(
    ("path", "ancestor", "inside"),
    [
        ("/a", "/", True),
        ("/", "/", True),
        ("/a/b", "/a", True),
        ("/a", "/a", True),
        ("/ab", "/a", False),
        ("/", "/a", False),
        ("/b/a", "/a", False),
    ],
)
def test_a_cgroup_is_within_itself_and_what_is_above_it(path: str, ancestor: str, inside: bool) -> None:
    assert within(path, ancestor) is inside


def test_ancestors_lead_up_to_the_root() -> None:
    assert list(ancestors("/a/b/c")) == ["/a/b/c", "/a/b", "/a", "/"]
    assert list(ancestors("/")) == ["/"]


@given(trees())
def test_a_cgroup_is_within_exactly_its_ancestors(cgroups: tuple[Cgroup, ...]) -> None:
    paths = [cgroup.path for cgroup in cgroups]
    for path in paths:
        assert {other for other in paths if within(path, other)} == set(ancestors(path)) & set(paths)


def test_a_removed_payer_stands_below_its_parent() -> None:
    cgroups = (Cgroup("/", 1, 1), Cgroup("/pods", 2, 1))
    census = census_of((Owner(3, "old", 2, False), Owner(4, "older", 3, False)))

    paths = paths_by_id(cgroups, census)

    assert within(paths[3], "/pods")
    assert within(paths[4], paths[3])


def test_a_removed_payer_is_not_taken_for_the_cgroup_that_has_its_name_now() -> None:
    cgroups = (Cgroup("/", 1, 1), Cgroup("/service", 9, 1))
    census = census_of((Owner(3, "service", 1, False),), (charge(3, 5), charge(9, 7)))

    paths = paths_by_id(cgroups, census)

    assert not within(paths[3], "/service")
    assert within(paths[3], "/")


def test_a_payer_with_unknown_parents_stands_below_the_root() -> None:
    paths = paths_by_id((Cgroup("/a", 2, 1),), census_of((Owner(3, "x", 77, False),), (charge(5, 1),)))

    assert within(paths[3], "/")
    assert not within(paths[3], "/a")
    assert within(paths[5], "/"), "a payer of whom nothing is known still counts"


def test_a_long_chain_of_removed_payers_keeps_its_place_in_any_order() -> None:
    deep = tuple(Owner(number, f"level{number}", number - 1, False) for number in range(3, 500))
    for owners in (deep, deep[::-1]):
        paths = paths_by_id((Cgroup("/", 1, 1), Cgroup("/top", 2, 1)), census_of(owners))
        assert all(within(paths[owner.cgroup_id], "/top") for owner in owners)


def test_parents_in_a_circle_end_below_the_root() -> None:
    owners = (Owner(3, "x", 4, False), Owner(4, "y", 3, False), Owner(5, "z", 5, False))
    assert all(within(path, "/") for path in paths_by_id((), census_of(owners)).values())


@given(observations(), st.randoms(use_true_random=False))
def test_paths_do_not_depend_on_the_order_of_what_was_observed(observation: Observation, order: random.Random) -> None:
    if observation.census is None:
        return
    cgroups, owners = list(observation.cgroups), list(observation.census.owners)
    order.shuffle(cgroups)
    order.shuffle(owners)
    shuffled = replace(observation.census, owners=tuple(owners))

    assert paths_by_id(cgroups, shuffled) == paths_by_id(observation.cgroups, observation.census)


@given(observations())
def test_every_payer_has_a_path_and_no_two_share_one(observation: Observation) -> None:
    paths = paths_by_id(observation.cgroups, observation.census)

    assert len(set(paths.values())) == len(paths)
    assert all(paths[cgroup.id] == cgroup.path for cgroup in observation.cgroups)
    if observation.census:
        assert {charge.cgroup_id for charge in observation.census.charges} <= set(paths)


def test_gone_lists_who_pays_without_a_directory_largest_first() -> None:
    cgroups = (Cgroup("/", 1, 1), Cgroup("/here", 2, 1))
    owners = (Owner(2, "here", 1, True), Owner(3, "small", 1, False), Owner(4, "large", 1, True))
    census = census_of(owners, (charge(2, 100), charge(3, 5), charge(4, 4), charge(4, 3), charge(6, 1)))

    assert gone(cgroups, census, range(10)) == (
        GoneCgroup(4, "large", 7, online=True),
        GoneCgroup(3, "small", 5, online=False),
        GoneCgroup(6, "", 1, online=False),
    )
    assert gone(cgroups, census, [2, 3]) == (GoneCgroup(3, "small", 5, online=False),)
    assert gone(cgroups, None, [3]) == ()


@given(observations())
def test_what_is_charged_is_either_in_a_directory_or_listed_as_gone(observation: Observation) -> None:
    if observation.census is None:
        return
    paths = paths_by_id(observation.cgroups, observation.census)
    directories = {cgroup.id for cgroup in observation.cgroups}
    here = sum(each.bytes for each in observation.census.charges if each.cgroup_id in directories)

    listed = gone(observation.cgroups, observation.census, paths)

    assert here + sum(row.bytes for row in listed) == sum(each.bytes for each in observation.census.charges)


def cgroup_with_limit(path: str, limit: int | None) -> Cgroup:
    return Cgroup(path, 1, 1, limit_bytes=limit)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, None),
        ({"/a/b": 5}, EffectiveLimit(5, "/a/b")),
        ({"/a/b": 5, "/a": 4}, EffectiveLimit(4, "/a")),
        ({"/a/b": 5, "/a": 5, "/": 5}, EffectiveLimit(5, "/a/b")),
        ({"/a/b": 0, "/a": 5}, EffectiveLimit(0, "/a/b")),
        ({"/a/b/c": 1, "/x": 1, "/": 9}, EffectiveLimit(9, "/")),
    ],
)
def test_the_tightest_limit_above_counts_and_the_nearest_among_equals(
    limits: dict[str, int], expected: EffectiveLimit | None
) -> None:
    cgroups = {path: cgroup_with_limit(path, limits.get(path)) for path in ("/", "/a", "/a/b", "/a/b/c", "/x")}
    assert effective_limit(cgroups, "/a/b") == expected
