"""What a workload is: how to make the memory, how much by default, and what a census must then find.

An expectation is a lower bound: the process around the memory (an interpreter, its page tables) is charged
too. The upper bound is the coverage check of the tests: named bytes must add up to the kernel's own number.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from kmemscope.model.kinds import Kind

LARGE_KINDS = (Kind.VMALLOC, Kind.OTHER_PAGES, Kind.SLAB_UNRECLAIMABLE)
"""What a large kvmalloc becomes: contiguous pages (which the kernel counts as slab), or else vmalloc."""

Maker = Callable[[int, ExitStack], int]
"""Makes COUNT units, registers on the stack whatever must be kept or undone, and returns how many it made."""


class UnavailableError(Exception):
    """This kernel, or these rights, cannot run the workload; the message says what it needs."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """The least that one unit of the workload adds to the census of its cgroup."""

    kinds: tuple[Kind, ...]
    """Kinds that this memory may be counted as; more than one where the kernel itself chooses."""
    caches: tuple[str, ...]
    """Names of the slab cache, where kernels differ all of them: objects in any count. Empty for pages."""
    per_unit: float
    """Objects of a cache, or bytes of pages, for each unit made."""
    since: tuple[int, int] = (0, 0)
    """The first kernel that charges it to anybody."""

    @property
    def of_objects(self) -> bool:
        """Whether `per_unit` counts slab objects, and not bytes."""
        return bool(self.caches)


def unreclaimable(*caches: str, per_unit: float = 1, since: tuple[int, int] = (0, 0)) -> Expectation:
    """Objects that stay until the program lets go."""
    return Expectation((Kind.SLAB_UNRECLAIMABLE,), caches, per_unit, since)


def reclaimable(*caches: str, per_unit: float = 1) -> Expectation:
    """Objects of caches that the kernel can shrink: dentries and most inodes."""
    return Expectation((Kind.SLAB_RECLAIMABLE,), caches, per_unit)


def pages(*kinds: Kind, bytes_per_unit: float) -> Expectation:
    """Whole pages of one of these kinds."""
    return Expectation(kinds, (), bytes_per_unit)


@dataclass(frozen=True, slots=True)
class Workload:
    """One cause of kernel memory, made on purpose."""

    name: str
    summary: str
    """What is made, and which objects that costs."""
    make: Maker
    count: int
    """Units by default: some MiB of kernel memory, in less than two seconds."""
    expects: tuple[Expectation, ...]
    uncharged: tuple[str, ...] = ()
    """Caches whose objects are made, but which the kernel charges to nobody: the cgroup must have none."""
