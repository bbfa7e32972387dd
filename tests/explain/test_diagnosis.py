import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmemscope.explain.diagnosis import explain, view
from kmemscope.model.census import Owner
from kmemscope.model.errors import TargetNotFound
from kmemscope.model.explanation import EffectiveLimit, GoneCgroup
from kmemscope.model.hierarchy import within
from kmemscope.model.kinds import Kind
from kmemscope.model.node import Cgroup, Level
from kmemscope.model.observation import Observation
from tests.explain.looks import census, look, pages, slab
from tests.strategies import observations

ROOT, POD, APP = (
    Cgroup(path, number, 1, kernel_bytes=1000) for number, path in enumerate(["/", "/pod", "/pod/app"], 1)
)


def test_an_observation_of_a_node_explains_no_target() -> None:
    with pytest.raises(TargetNotFound):
        explain(look(census(), ROOT, target=None))


def test_a_target_that_was_not_read_is_not_found() -> None:
    with pytest.raises(TargetNotFound):
        explain(look(census(), ROOT, target="/pod"))


def test_an_explanation_carries_what_was_observed() -> None:
    taken = replace(census(), notes=("a note",))
    observation = look(taken, ROOT, APP, target="/pod/app", processes_left_out=3, seconds=0.5, level=Level.EXACT)

    answer = explain(observation)

    assert (answer.target, answer.level, answer.time, answer.host) == (APP, Level.EXACT, 1.0, observation.host)
    assert (answer.notes, answer.processes_left_out) == (("a note",), 3)
    assert (answer.seconds, answer.census_seconds, answer.census_pages) == (0.5, 0.05, 1000)
    assert answer.no_account is None


@pytest.mark.parametrize(
    ("cgroup", "level", "words"),
    [
        (APP, Level.COUNTERS, "counters alone"),
        (APP, Level.EXACT, "no census"),
        (replace(APP, kernel_bytes=None), Level.COUNTERS, "keeps no number"),
    ],
)
def test_without_an_account_it_says_why(cgroup: Cgroup, level: Level, words: str) -> None:
    answer = explain(look(None, cgroup, target=cgroup.path, level=level))

    assert answer.account is None
    assert answer.no_account and words in answer.no_account


def test_the_view_adds_up_each_cgroup_with_those_below_it() -> None:
    taken = census(
        slab(3, "dentry", 1, 100), pages(3, Kind.KERNEL_STACK, 8192), slab(2, "filp", 1, 50), slab(9, "filp", 1, 7),
        owners=(Owner(9, "old", 2, False),),
    )  # fmt: skip

    rows = {row.cgroup.path: row for row in view(look(taken, ROOT, POD, APP, target=None)).rows}

    assert {path: row.named_bytes for path, row in rows.items()} == {"/": 8349, "/pod": 8349, "/pod/app": 8292}
    assert {row.largest_kind for row in rows.values()} == {Kind.KERNEL_STACK}
    assert rows["/"].largest_bytes == 8192


def test_the_view_names_what_only_the_kernels_counters_show() -> None:
    swapping = replace(APP, version=2, stat={"zswap": 9000})

    (row,) = view(look(census(slab(3, "filp", 1, 50)), swapping, target=None)).rows

    assert (row.named_bytes, row.largest_kind, row.largest_bytes) == (9050, Kind.ZSWAP, 9000)


def test_the_view_is_ordered_by_kernel_bytes_then_path() -> None:
    cgroups = [
        replace(APP, path=path, id=number, kernel_bytes=amount)
        for number, (path, amount) in enumerate([("/c", 5), ("/b", None), ("/a", 5), ("/d", 9)])
    ]
    answer = view(look(None, *cgroups, target=None))

    assert [row.cgroup.path for row in answer.rows] == ["/d", "/a", "/c", "/b"]


def test_without_a_census_the_largest_kind_is_that_of_memory_stat() -> None:
    cgroup = replace(APP, version=2, stat={"kernel_stack": 5, "pagetables": 9, "slab": 99, "anon": 1000})
    bare = replace(APP, path="/bare", id=8)

    full, empty = view(look(None, cgroup, bare, target=None)).rows[::-1]

    assert (full.cgroup, full.largest_kind, full.largest_bytes, full.named_bytes) == (cgroup, Kind.PAGETABLES, 9, None)
    assert (empty.largest_kind, empty.largest_label, empty.largest_bytes) == (None, None, None)


@pytest.mark.parametrize(
    ("amount", "limit", "share"), [(50, 200, 0.25), (None, 200, None), (50, None, None), (50, 0, None)]
)
def test_share_of_limit(amount: int | None, limit: int | None, share: float | None) -> None:
    (row,) = view(look(None, replace(APP, kernel_bytes=amount, limit_bytes=limit), target=None)).rows

    assert row.share_of_limit == share
    assert row.limit == (None if limit is None else EffectiveLimit(limit, "/pod/app"))


def test_the_view_lists_who_pays_without_a_directory() -> None:
    taken = census(slab(9, "filp", 1, 7), owners=(Owner(9, "old", 2, False),))
    assert view(look(taken, ROOT, POD, target=None)).gone == (GoneCgroup(9, "old", 7, False),)


@given(observations())
def test_every_cgroup_has_a_row_and_includes_its_descendants(observation: Observation) -> None:
    rows = {row.cgroup.path: row for row in view(replace(observation, target=None)).rows}

    assert set(rows) == {cgroup.path for cgroup in observation.cgroups}
    if observation.census is None:
        return
    own: dict[str, int] = {}
    for charge in observation.census.charges:
        path = next((each.path for each in observation.cgroups if each.id == charge.cgroup_id), None)
        if path is not None:
            own[path] = own.get(path, 0) + charge.bytes
    for path, row in rows.items():
        assert (row.named_bytes or 0) >= sum(amount for below, amount in own.items() if within(below, path))
    assert (rows["/"].named_bytes or 0) >= sum(charge.bytes for charge in observation.census.charges)


@given(observations())
def test_a_look_at_one_target_says_nothing_of_what_else_is_above_it(observation: Observation) -> None:
    for row in view(observation).rows:
        if not within(row.cgroup.path, observation.target or "/"):
            assert row.named_bytes is None


@given(observations())
def test_the_view_and_the_account_name_the_same_bytes(observation: Observation) -> None:
    counted = replace(
        observation,
        target=None,
        charged=None,
        cgroups=tuple(replace(each, kernel_bytes=1) for each in observation.cgroups),
    )
    for row in view(counted).rows:
        account = explain(replace(counted, target=row.cgroup.path)).account
        assert row.named_bytes == (account.named_bytes if account else None)


@given(observations(), st.randoms(use_true_random=False))
def test_the_order_of_what_was_observed_does_not_change_the_view(
    observation: Observation, order: random.Random
) -> None:
    taken = observation.census
    mixed = replace(
        observation,
        cgroups=tuple(order.sample(observation.cgroups, len(observation.cgroups))),
        census=taken and replace(taken, charges=tuple(order.sample(taken.charges, len(taken.charges)))),
    )

    assert view(mixed) == view(observation)
