import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmemscope.explain.account import STALE_PAGES_A_CPU, account_of
from kmemscope.model.census import Owner, SlabCache
from kmemscope.model.explanation import Account, GoneCgroup, ResidualPart
from kmemscope.model.hierarchy import within
from kmemscope.model.kinds import Kind
from kmemscope.model.node import Cgroup
from kmemscope.model.observation import Charged, Observation
from tests.explain.looks import HOST, SLAB, census, look, pages, slab
from tests.strategies import BYTES, observations

TARGET = Cgroup("/t", 2, 1, kernel_bytes=10_000)


def accounts(observation: Observation) -> list[tuple[Cgroup, Account]]:
    """Every cgroup that can have an account, with it."""
    found = [(cgroup, account_of(observation, cgroup)) for cgroup in observation.cgroups]
    return [(cgroup, account) for cgroup, account in found if account]


def test_charges_of_a_cgroup_and_all_below_it_are_named_and_no_others() -> None:
    below, beside = Cgroup("/t/below", 3, 1), Cgroup("/tt", 4, 1)
    taken = census(slab(2, "dentry", 10, 2000), slab(3, "dentry", 5, 1000), slab(4, "dentry", 7, 1400))

    account = account_of(look(taken, TARGET, below, beside), TARGET)

    assert account
    assert (account.charged_bytes, account.named_bytes, account.residual_bytes) == (10_000, 3000, 7000)
    assert [(row.type, row.objects, row.bytes) for row in account.objects] == [("dentry", 15, 3000)]


def test_there_is_no_account_without_a_census_or_a_number_of_the_kernel() -> None:
    unknown = Cgroup("/t", 2, 1)

    assert account_of(look(None, TARGET), TARGET) is None
    assert account_of(look(census(), unknown), unknown) is None
    assert account_of(look(census(), TARGET), TARGET) is not None


def test_the_number_read_right_after_the_census_is_what_was_charged() -> None:
    account = account_of(look(census(), TARGET, charged=Charged(9000, 9500)), TARGET)

    assert account
    assert account.charged_bytes == 9500
    assert ResidualPart("it changed while it was counted", 500) in account.residual


def test_removed_payers_below_the_target_are_counted_and_listed() -> None:
    owners = (Owner(7, "old", 2, False), Owner(8, "older", 7, False), Owner(9, "elsewhere", 1, False))
    taken = census(slab(7, "dentry", 1, 200), slab(8, "dentry", 2, 400), slab(9, "dentry", 4, 800), owners=owners)

    account = account_of(look(taken, TARGET), TARGET)

    assert account
    assert account.named_bytes == 600
    assert account.gone == (GoneCgroup(8, "older", 400, False), GoneCgroup(7, "old", 200, False))


def test_a_removed_predecessor_of_the_same_name_is_not_the_targets() -> None:
    root, again = Cgroup("/", 1, 1), Cgroup("/service", 5, 1, kernel_bytes=4096)
    taken = census(slab(4, "dentry", 9, 9000), slab(5, "dentry", 1, 200), owners=(Owner(4, "service", 1, False),))

    account = account_of(look(taken, root, again), again)

    assert account
    assert account.named_bytes == 200
    assert account.gone == ()


def test_a_merged_cache_names_all_that_it_may_hold_and_says_so() -> None:
    merged = SlabCache("pid", ("eventpoll_epi", "pid"), 128, reclaimable=False)
    alone = SlabCache("dentry", ("dentry",), 192, reclaimable=True)
    taken = census(slab(2, "pid", 3, 408), slab(2, "dentry", 1, 200, Kind.SLAB_RECLAIMABLE), caches=(merged, alone))

    account = account_of(look(taken, TARGET), TARGET)

    assert account
    assert [(row.type, row.aliases, row.certainty) for row in account.objects] == [
        ("pid", ("eventpoll_epi", "pid"), "merged"),
        ("dentry", (), "certain"),
    ]


def test_each_kind_stands_beside_the_kernels_own_row() -> None:
    target = replace(TARGET, version=2, stat={"kernel_stack": 16384, "percpu": 7})
    taken = census(pages(2, Kind.KERNEL_STACK, 16384), pages(2, Kind.PAGETABLES, 8192))

    owner = Owner(target.id, "orders", 1, online=True, rows={Kind.PAGETABLES: 8192, Kind.KERNEL_STACK: 9})
    account = account_of(look(replace(taken, owners=(owner,)), target), target)

    assert account
    assert [(row.kind, row.bytes, row.witness_bytes) for row in account.kinds] == [
        (Kind.KERNEL_STACK, 16384, 16384),
        (Kind.PAGETABLES, 8192, 8192),
    ]


def test_zswap_is_named_by_the_kernels_counter_alone() -> None:
    target = replace(TARGET, version=2, stat={"zswap": 3000})

    account = account_of(look(census(), target), target)

    assert account
    assert [(row.kind, row.bytes, row.objects) for row in account.kinds] == [(Kind.ZSWAP, 3000, None)]
    assert (account.named_bytes, account.residual_bytes) == (3000, 7000)


@pytest.mark.parametrize(
    ("cgroup", "more", "expected"),
    [
        (TARGET, {}, {"per-CPU charge stock": 2 * 4096}),
        (
            replace(TARGET, version=2),
            {},
            {"per-CPU charge stock": 2 * 4096, "memory.stat is up to 2 s old": STALE_PAGES_A_CPU * 2 * 4096},
        ),
        (
            TARGET,
            {"charged": Charged(5, 5)},
            {"per-CPU charge stock": 2 * 4096},
        ),
    ],
    ids=["v1", "v2", "nothing moved"],
)
def test_what_the_residual_can_be(cgroup: Cgroup, more: dict[str, Charged], expected: dict[str, int]) -> None:
    account = account_of(look(census(), cgroup, **more), cgroup)

    assert account
    assert {part.why: part.at_most_bytes for part in account.residual} == expected


def test_pending_and_unread_bytes_are_parts_of_the_residual() -> None:
    owners = (Owner(2, "t", 1, True, 300), Owner(3, "gone", 2, False, 40), Owner(9, "other", 1, True, 5000))

    account = account_of(look(census(owners=owners, unread=77), TARGET), TARGET)

    assert account
    assert [part.at_most_bytes for part in account.residual] == [340, 2 * HOST.page_bytes, 77]


@pytest.mark.parametrize(
    ("named", "explained"), [(10_000, True), (1808, True), (1807, False), (18_192, True), (18_193, False)]
)
def test_an_account_is_explained_when_the_residual_fits_its_parts(named: int, explained: bool) -> None:
    account = account_of(look(census(slab(2, "x", 1, named)), TARGET), TARGET)

    assert account
    assert account.explained is explained


def test_coverage_is_the_share_that_has_a_name() -> None:
    account = account_of(look(census(slab(2, "x", 1, 2500)), TARGET), TARGET)
    nothing = replace(TARGET, kernel_bytes=0)
    empty = account_of(look(census(), nothing), nothing)

    assert account and account.coverage == 0.25
    assert empty and empty.coverage == 1.0


@given(observations())
def test_named_and_residual_are_always_what_was_charged(observation: Observation) -> None:
    for cgroup, account in accounts(observation):
        charged = observation.charged.after_bytes if observation.charged else cgroup.kernel_bytes
        assert account.named_bytes + account.residual_bytes == account.charged_bytes == charged
        assert account.named_bytes == sum(row.bytes for row in account.kinds)


@given(observations())
def test_kinds_and_types_of_objects_add_up_to_the_same(observation: Observation) -> None:
    for _, account in accounts(observation):
        by_kind = {row.kind: (row.bytes, row.objects) for row in account.kinds if row.kind is not Kind.ZSWAP}
        sums = {
            kind: (
                sum(row.bytes for row in account.objects if row.kind is kind),
                sum(row.objects for row in account.objects if row.kind is kind),
            )
            for kind in {row.kind for row in account.objects}
        }
        assert sums == by_kind


@given(observations())
def test_the_root_names_every_charge_of_the_census(observation: Observation) -> None:
    root = replace(observation.cgroups[0], kernel_bytes=1, stat={})
    account = account_of(replace(observation, cgroups=(root, *observation.cgroups[1:])), root)

    assert (account is None) == (observation.census is None)
    if account and observation.census:
        assert account.named_bytes == sum(charge.bytes for charge in observation.census.charges)


@given(observations())
def test_a_cgroup_names_at_least_what_those_below_it_do(observation: Observation) -> None:
    clean = replace(observation, cgroups=tuple(replace(each, stat={}, kernel_bytes=1) for each in observation.cgroups))
    named = {cgroup.path: account.named_bytes for cgroup, account in accounts(clean)}
    for above, amount in named.items():
        children = [path for path in named if path != above and (path.rpartition("/")[0] or "/") == above]
        assert amount >= sum(named[child] for child in children)


@given(observations())
def test_what_is_gone_is_part_of_what_is_named(observation: Observation) -> None:
    directories = {cgroup.id for cgroup in observation.cgroups}
    for cgroup, account in accounts(observation):
        assert observation.census
        below = {each.id for each in observation.cgroups if within(each.path, cgroup.path)}
        here = sum(each.bytes for each in observation.census.charges if each.cgroup_id in below)
        gone = sum(row.bytes for row in account.gone)
        assert here + gone == sum(row.bytes for row in account.kinds if row.kind is not Kind.ZSWAP)
        assert not {row.cgroup_id for row in account.gone} & directories


@given(observations(), st.randoms(use_true_random=False))
def test_the_order_of_what_was_observed_changes_nothing(observation: Observation, order: random.Random) -> None:
    if observation.census is None:
        return

    def shuffled(values: tuple) -> tuple:
        return tuple(order.sample(values, len(values)))

    taken = observation.census
    mixed = replace(
        observation,
        cgroups=shuffled(observation.cgroups),
        census=replace(
            taken, charges=shuffled(taken.charges), owners=shuffled(taken.owners), caches=shuffled(taken.caches)
        ),
    )

    for cgroup in observation.cgroups:
        assert account_of(mixed, cgroup) == account_of(observation, cgroup)


@given(BYTES, BYTES)
def test_splitting_a_charge_changes_nothing(first: int, second: int) -> None:
    whole = look(census(slab(2, "x", 3, first + second)), TARGET)
    split = look(census(slab(2, "x", 1, first), slab(2, "x", 2, second)), TARGET)

    assert account_of(whole, TARGET) == account_of(split, TARGET)


def test_the_kind_of_slab_is_the_kernels_word() -> None:
    taken = census(slab(2, "dentry", 1, 192, Kind.SLAB_RECLAIMABLE), slab(2, "filp", 1, 256, SLAB))
    account = account_of(look(taken, TARGET), TARGET)

    assert account
    assert [(row.kind, row.reclaimable) for row in account.kinds] == [
        (Kind.SLAB_UNRECLAIMABLE, "no"),
        (Kind.SLAB_RECLAIMABLE, "partly"),
    ]
