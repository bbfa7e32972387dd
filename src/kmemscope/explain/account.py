"""The account: bytes charged = bytes named + residual, for a cgroup and all below it.

Named bytes come from the census. Kinds that no page or slab object shows (zswap) come from the kernel's own counters,
where it has them. What remains is the residual; each thing that can cause it is listed with the most it can be.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from kmemscope.explain.vocabulary import KIND_MEANINGS, KIND_NAMES, meanings
from kmemscope.model.census import Census, Charge, Owner
from kmemscope.model.explanation import Account, KindRow, ObjectRow, ResidualPart
from kmemscope.model.hierarchy import gone, paths_by_id, within
from kmemscope.model.kinds import Kind, reclaimable
from kmemscope.model.node import Cgroup
from kmemscope.model.observation import Observation

COUNTED_ONLY = (Kind.ZSWAP,)
"""Kinds that are charged by the byte out of memory that carries no owner: only the kernel's counter shows them."""
STALE_PAGES_A_CPU = 64
"""MEMCG_CHARGE_BATCH, mm/memcontrol.c, 6.0 to 7.3: memory.stat on v2 may lag by that many pages a CPU."""


def account_of(observation: Observation, target: Cgroup) -> Account | None:
    """Make the account of a cgroup; None without a census or where the kernel gives no number to compare with."""
    census = observation.census
    if census is None or target.kernel_bytes is None:
        return None
    ids = {id_ for id_, path in paths_by_id(observation.cgroups, census).items() if within(path, target.path)}
    charges = [charge for charge in census.charges if charge.cgroup_id in ids]
    owner = next((owner for owner in census.owners if owner.cgroup_id == target.id), None)
    kinds = kind_rows(charges, witness_of(target, owner))
    charged = observation.charged.after_bytes if observation.charged else target.kernel_bytes
    named = sum(row.bytes for row in kinds)
    return Account(
        charged_bytes=charged,
        named_bytes=named,
        residual_bytes=charged - named,
        residual=residual_parts(observation, census, ids, target),
        kinds=kinds,
        objects=object_rows(charges, census),
        gone=gone(observation.cgroups, census, ids),
    )


def kind_rows(charges: list[Charge], witness: Mapping[str, int]) -> tuple[KindRow, ...]:
    """Add up charges by kind, largest first, each beside the kernel's own row."""
    sums: dict[Kind, list[int]] = defaultdict(lambda: [0, 0])
    for charge in charges:
        sums[charge.kind][0] += charge.bytes
        sums[charge.kind][1] += charge.objects
    amounts: dict[Kind, tuple[int, int | None]] = {kind: (amount, n) for kind, (amount, n) in sums.items()}
    amounts.update((kind, (amount, None)) for kind, amount in counted_only(witness).items())
    rows = [
        KindRow(
            kind=kind,
            label=KIND_NAMES[kind],
            meaning=KIND_MEANINGS[kind],
            bytes=amount,
            objects=objects,
            reclaimable=reclaimable(kind),
            witness_bytes=witness.get(kind.value),
        )
        for kind, (amount, objects) in amounts.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.bytes, row.kind)))


def witness_of(cgroup: Cgroup, owner: Owner | None) -> Mapping[str, int]:
    """Rows of the kernel's own counters for a cgroup, by name: from its files, else from the kernel's memory."""
    return {**{kind.value: amount for kind, amount in (owner.rows if owner else {}).items()}, **cgroup.stat}


def counted_only(witness: Mapping[str, int]) -> dict[Kind, int]:
    """Bytes of the kinds that no census can see."""
    return {kind: witness[kind.value] for kind in COUNTED_ONLY if witness.get(kind.value)}


def object_rows(charges: list[Charge], census: Census) -> tuple[ObjectRow, ...]:
    """Add up charges by type of object, largest first."""
    caches = {cache.name: cache for cache in census.caches}
    sums: dict[tuple[Kind, str | None, str | None], list[int]] = defaultdict(lambda: [0, 0])
    for charge in charges:
        entry = sums[charge.kind, charge.cache, charge.what]
        entry[0] += charge.objects
        entry[1] += charge.bytes
    rows = []
    for (kind, cache, what), (objects, amount) in sums.items():
        aliases = caches[cache].aliases if cache in caches else ()
        merged = len(aliases) > 1
        rows.append(
            ObjectRow(
                type=what or cache or kind.value,
                meaning=meanings(aliases if merged else (cache or what or "",)),
                cache=cache,
                aliases=aliases if merged else (),
                kind=kind,
                objects=objects,
                bytes=amount,
                certainty="merged" if merged else "certain",
            )
        )
    return tuple(sorted(rows, key=lambda row: (-row.bytes, row.kind, row.type, row.cache or "")))


def residual_parts(observation: Observation, census: Census, ids: set[int], target: Cgroup) -> tuple[ResidualPart, ...]:
    """List what the residual can consist of. Each bound holds by itself; the residual may be any part of their sum."""
    page, cpus = observation.host.page_bytes, observation.host.cpus
    paid = {charge.cache for charge in census.charges if charge.cgroup_id in ids}
    largest = max((cache.object_bytes for cache in census.caches if cache.name in paid), default=0)
    pending = sum(owner.pending_bytes for owner in census.owners if owner.cgroup_id in ids)
    parts = [
        ResidualPart("charged by the page, not yet used by an object (read from the kernel)", pending),
        # What does not fit into a CPU's stock is charged in whole pages, and their rest put on top of what is there:
        # refill_obj_stock(), mm/memcontrol.c, 5.17 to 7.3.
        ResidualPart("per-CPU charge stock", cpus * census.stock_slots * (page + largest)),
    ]
    if target.version == 2:
        parts.append(ResidualPart("memory.stat is up to 2 s old", STALE_PAGES_A_CPU * cpus * page))
    if target.dying_descendants:
        # Each keeps the rest of its last page until it is freed, also when no object leads to it any more.
        parts.append(ResidualPart("removed cgroups that are not freed yet", target.dying_descendants * page))
    if observation.charged:
        moved = abs(observation.charged.after_bytes - observation.charged.before_bytes)
        parts.append(ResidualPart("it changed while it was counted", moved))
    if census.percpu_unread_bytes:
        parts.append(ResidualPart("percpu memory that could not be read", census.percpu_unread_bytes))
    return tuple(part for part in parts if part.at_most_bytes)
