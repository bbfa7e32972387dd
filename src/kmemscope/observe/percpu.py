"""Who owns percpu memory: reads the tables of a chunk that the scan found.

A chunk (struct pcpu_chunk, mm/percpu-internal.h) has a bit for every 4 bytes that says where an allocation starts or
free space does, and an owner entry for every 4 bytes, set at the first 4 bytes of a charged allocation
(pcpu_memcg_post_alloc_hook(), mm/percpu.c, 5.17 to 7.3).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

UNIT_BYTES = 4
"""PCPU_MIN_ALLOC_SIZE."""
OWNER_POINTER_BYTES = 8
POINTER_BYTES = 8

Reader = Callable[[int, int], bytes | None]
"""Reads (address, bytes) of kernel memory; None when that cannot be read."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Where the tables of one chunk are."""

    owners: int
    owner_bytes: int
    owner_offset: int
    bounds: int
    pages: int


@dataclass(slots=True)
class Owned:
    """Percpu memory of one payer."""

    objects: int = 0
    bytes: int = 0


def charged_bytes(size: int, cpus: int) -> int:
    """Bytes charged for a percpu allocation: a copy a possible CPU and the owner entries (pcpu_obj_full_size())."""
    return size * cpus + size // UNIT_BYTES * OWNER_POINTER_BYTES


def owned_in(chunk: Chunk, read: Reader, page_bytes: int, cpus: int) -> dict[int, Owned] | None:
    """Add up the charged allocations of a chunk by payer (address of its obj_cgroup).

    Empty when the chunk is not charged at all, None when its tables could not be read.
    """
    if not chunk.owners:
        return {}
    units = chunk.pages * page_bytes // UNIT_BYTES
    owners = read(chunk.owners, units * chunk.owner_bytes)
    bounds = read(chunk.bounds, (units + 7) // 8)
    if owners is None or bounds is None:
        return None
    starts = bit_positions(bounds, units)
    owned: dict[int, Owned] = defaultdict(Owned)
    for start, end in zip(starts, [*starts[1:], units], strict=True):
        at = start * chunk.owner_bytes + chunk.owner_offset
        payer = int.from_bytes(owners[at : at + POINTER_BYTES], "little")
        if payer:
            owned[payer].objects += 1
            owned[payer].bytes += charged_bytes((end - start) * UNIT_BYTES, cpus)
    return dict(owned)


def bit_positions(bits: bytes, count: int) -> list[int]:
    """Positions of the set bits among the first `count`, ascending (words are little endian)."""
    positions = []
    for index, byte in enumerate(bits):
        if byte:
            positions += [index * 8 + bit for bit in range(8) if byte >> bit & 1 and index * 8 + bit < count]
    return positions
