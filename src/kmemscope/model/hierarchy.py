"""How cgroups lie within each other: paths, ids, limits, and payers that have no directory any more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from kmemscope.model.census import Census, Owner
from kmemscope.model.explanation import EffectiveLimit, GoneCgroup
from kmemscope.model.node import Cgroup

REMOVED = "\n"
"""In the place of a removed cgroup: no directory has it in its name (cgroup_mkdir() in kernel/cgroup/cgroup.c)."""


def within(path: str, ancestor: str) -> bool:
    """Whether a cgroup path is the ancestor or lies below it."""
    return path == ancestor or path.startswith(ancestor.rstrip("/") + "/")


def ancestors(path: str) -> Iterable[str]:
    """The path itself, its parent, and so on up to `/`."""
    while path != "/":
        yield path
        path = path.rpartition("/")[0] or "/"
    yield "/"


def paths_by_id(cgroups: Iterable[Cgroup], census: Census | None) -> dict[int, str]:
    """Path of every cgroup id that the census met or a directory has.

    An owner without a directory (removed while it still pays) gets a path below its parent, as far as the parents are
    known, under a name that no directory can have: what was removed is never taken for a new cgroup of the same name.
    A payer of whom nothing is known stands for itself below `/`, so that the sum over `/` misses nothing.
    """
    paths = {cgroup.id: cgroup.path for cgroup in cgroups}
    if census is None:
        return paths
    owners = {owner.cgroup_id: owner for owner in census.owners}
    for owner in sorted(owners.values(), key=lambda each: each.cgroup_id):
        below: list[Owner] = []
        at: Owner | None = owner
        while at and at.cgroup_id not in paths and len(below) <= len(owners):  # more: parents in a circle
            below.append(at)
            at = owners.get(at.parent_id or 0)
        if len(below) > len(owners):
            below = [owner]
        path = paths.get(below[-1].parent_id or 0, "/") if below else "/"
        for each in reversed(below):
            path = f"{path.rstrip('/')}/{each.name}{REMOVED}{each.cgroup_id}"
            paths[each.cgroup_id] = path
    for charge in census.charges:
        paths.setdefault(charge.cgroup_id, f"/{REMOVED}{charge.cgroup_id}")
    return paths


def gone(cgroups: Iterable[Cgroup], census: Census | None, ids: Iterable[int]) -> tuple[GoneCgroup, ...]:
    """The payers among these ids that have no directory any more, largest first."""
    if not census:
        return ()
    wanted = set(ids) - {cgroup.id for cgroup in cgroups}
    sums: dict[int, int] = defaultdict(int)
    for charge in census.charges:
        if charge.cgroup_id in wanted:
            sums[charge.cgroup_id] += charge.bytes
    owners = {owner.cgroup_id: owner for owner in census.owners}
    rows = [
        GoneCgroup(cgroup_id, owner.name if owner else "", amount, bool(owner and owner.online))
        for cgroup_id, amount in sums.items()
        for owner in (owners.get(cgroup_id),)
    ]
    return tuple(sorted(rows, key=lambda row: (-row.bytes, row.cgroup_id)))


def effective_limit(cgroups: dict[str, Cgroup], path: str) -> EffectiveLimit | None:
    """The tightest limit from the cgroup up to the root, the nearest one among equals."""
    tightest: EffectiveLimit | None = None
    for each in ancestors(path):
        cgroup = cgroups.get(each)
        if cgroup is None or cgroup.limit_bytes is None:
            continue
        if tightest is None or cgroup.limit_bytes < tightest.bytes:
            tightest = EffectiveLimit(cgroup.limit_bytes, each)
    return tightest
