"""Observations in which the numbers are known."""

from __future__ import annotations

from typing import Any

from kmemscope.model.census import Census, Charge, Owner, SlabCache
from kmemscope.model.kinds import Kind
from kmemscope.model.node import Cgroup, Host, Level
from kmemscope.model.observation import Observation

HOST = Host("6.18.44", 4096, 2, 1 << 34)
SLAB = Kind.SLAB_UNRECLAIMABLE


def slab(cgroup_id: int, cache: str, objects: int, amount: int, kind: Kind = SLAB) -> Charge:
    return Charge(cgroup_id, kind, cache, None, objects, amount)


def pages(cgroup_id: int, kind: Kind, amount: int, what: str | None = None) -> Charge:
    return Charge(cgroup_id, kind, None, what, amount // 4096, amount)


def census(
    *charges: Charge, owners: tuple[Owner, ...] = (), caches: tuple[SlabCache, ...] = (), unread: int = 0
) -> Census:
    return Census(charges, caches, owners, 1000, 0, 0, 0, unread, 0.05)


def look(taken: Census | None, *cgroups: Cgroup, target: str | None = "/t", **more: Any) -> Observation:
    level = Level.EXACT if taken else Level.COUNTERS
    return Observation(
        **{"time": 1.0, "host": HOST, "level": level, "limitations": (), "target": target}
        | {"cgroups": cgroups, "census": taken, "charged": None}
        | more
    )
