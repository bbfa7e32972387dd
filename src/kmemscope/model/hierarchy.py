"""How cgroups lie within each other: paths, ids, limits, and payers that have no directory any more."""

from __future__ import annotations

from collections.abc import Iterable

from kmemscope.model.census import Census, Owner
from kmemscope.model.explanation import EffectiveLimit, GoneCgroup
from kmemscope.model.node import Cgroup


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

    An owner without a directory (removed while it still pays) gets the path below its parent that it had, as far as
    the parents are known; where they are not, it stands below `/`.
    """
    paths = {cgroup.id: cgroup.path for cgroup in cgroups}
    owners = {owner.cgroup_id: owner for owner in census.owners} if census else {}

    def path_of(owner: Owner, depth: int = 0) -> str:
        if owner.cgroup_id in paths:
            return paths[owner.cgroup_id]
        parent = owners.get(owner.parent_id or 0)
        above = paths.get(owner.parent_id or 0) or (path_of(parent, depth + 1) if parent and depth < 64 else "/")
        paths[owner.cgroup_id] = f"{above.rstrip('/')}/{owner.name}"
        return paths[owner.cgroup_id]

    for owner in owners.values():
        path_of(owner)
    return paths


def gone(cgroups: Iterable[Cgroup], census: Census | None, ids: Iterable[int]) -> tuple[GoneCgroup, ...]:
    """The payers among these ids that have no directory any more, largest first."""
    if not census:
        return ()
    directories = {cgroup.id for cgroup in cgroups}
    wanted = set(ids) - directories
    sums = dict.fromkeys(wanted, 0)
    for charge in census.charges:
        if charge.cgroup_id in sums:
            sums[charge.cgroup_id] += charge.bytes
    rows = [
        GoneCgroup(owner.cgroup_id, owner.name, sums[owner.cgroup_id], owner.online)
        for owner in census.owners
        if owner.cgroup_id in sums
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
