"""What the census counted: every charged slab object and kernel page, by the cgroup that pays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kmemscope.model.kinds import Kind


@dataclass(frozen=True, slots=True)
class SlabCache:
    """One slab cache of the kernel; caches of like size are merged and share one set of slabs."""

    name: str
    aliases: tuple[str, ...]
    """All names that share this cache's slabs, sorted; a single one when it is not merged."""
    object_bytes: int
    """Distance from one object to the next, `kmem_cache.size`."""
    reclaimable: bool


@dataclass(frozen=True, slots=True)
class Owner:
    """A cgroup that pays for something, as the kernel knows it: it may have lost its directory already."""

    cgroup_id: int
    name: str
    parent_id: int | None
    online: bool
    pending_bytes: int = 0
    """Charged but not yet given to an object: `obj_cgroup.nr_charged_bytes`, summed."""
    rows: Mapping[Kind, int] = field(default_factory=dict)
    """Bytes by kind as the kernel counts them for this cgroup and all below it (`mem_cgroup.vmstats`), up to 2 s old.
    Empty where their place in memory cannot be known: from kernel 6.10 on."""


@dataclass(frozen=True, slots=True)
class Charge:
    """Objects of one type that one cgroup pays for."""

    cgroup_id: int
    kind: Kind
    cache: str | None
    """Name of the slab cache; None for pages."""
    what: str | None
    """What the pages are, where there is more to say than the kind; None for slab objects."""
    objects: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Census:
    """One walk over all page headers."""

    charges: tuple[Charge, ...]
    caches: tuple[SlabCache, ...]
    owners: tuple[Owner, ...]
    pages: int
    """Page headers visited."""
    faults: int
    """Page headers that could not be read (holes)."""
    unowned_slabs: int
    """Slabs whose owner table the kernel could not allocate: their objects are charged to nobody."""
    races: int
    """Objects whose owner was gone when it was looked up."""
    percpu_unread_bytes: int
    """Percpu memory of the node whose owners could not be read; 0 when all was."""
    seconds: float
    stock_slots: int = 1
    """For how many payers each CPU keeps memory that it has charged in advance."""
    notes: tuple[str, ...] = ()
    """What was not looked at, a sentence each."""
