"""Kinds of kernel memory, by the names of the rows of cgroup v2's `memory.stat`.

Two kinds have no row there because the kernel keeps none: they are charged, and counted only in `kernel`.
"""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What a byte of charged kernel memory is used for."""

    SLAB_UNRECLAIMABLE = "slab_unreclaimable"
    SLAB_RECLAIMABLE = "slab_reclaimable"
    KERNEL_STACK = "kernel_stack"
    PAGETABLES = "pagetables"
    SEC_PAGETABLES = "sec_pagetables"
    PERCPU = "percpu"
    VMALLOC = "vmalloc"
    ZSWAP = "zswap"
    PIPE_BUFFERS = "pipe_buffers"
    """Pages of data queued in pipes; no row in memory.stat."""
    OTHER_PAGES = "other_pages"
    """Charged pages that nothing known points at; no row in memory.stat."""


class Reclaimable(StrEnum):
    """Whether the kernel can take the memory back under pressure without the program's help."""

    YES = "yes"
    NO = "no"
    PARTLY = "partly"


RECLAIMABLE: dict[Kind, Reclaimable] = {
    Kind.SLAB_RECLAIMABLE: Reclaimable.PARTLY,  # an object in use (an open file's inode) stays
    Kind.ZSWAP: Reclaimable.PARTLY,
}


def reclaimable(kind: Kind) -> Reclaimable:
    """Say whether memory of this kind can be reclaimed."""
    return RECLAIMABLE.get(kind, Reclaimable.NO)
