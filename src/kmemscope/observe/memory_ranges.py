"""Which page frames are RAM: the ranges that the census has to walk.

Knows /proc/iomem and, where that hides its addresses, /sys/devices/system/memory. Does not know what is in the pages.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

RAM = "System RAM"


@dataclass(frozen=True, slots=True, order=True)
class PageRange:
    """Page frames from `start` up to, not including, `end`."""

    start: int
    end: int


def ram_ranges(iomem: str, page_bytes: int) -> tuple[PageRange, ...]:
    """Read /proc/iomem; gives the page frames of all RAM, sorted, joined, without overlap.

    RAM that was added later is called `System RAM (virtio_mem)` and the like, and may stand indented below the device
    that brought it. Lines that make no sense are passed over; without CAP_SYS_ADMIN the kernel prints zeros, which
    gives no range at all.
    """
    found = []
    for line in iomem.splitlines():
        addresses, separator, name = line.strip().partition(" : ")
        if not separator or not name.startswith(RAM):
            continue
        first, _, last = addresses.partition("-")
        try:
            start, end = int(first, 16), int(last, 16) + 1
        except ValueError:
            continue
        # Whole pages only: the kernel gives no page header to a part of one.
        found.append(PageRange(-(-start // page_bytes), end // page_bytes))
    return joined(found)


def block_ranges(blocks: Iterable[int], block_bytes: int, page_bytes: int) -> tuple[PageRange, ...]:
    """Ranges of online memory blocks, by their numbers in /sys/devices/system/memory and their common size."""
    pages = block_bytes // page_bytes
    return joined(PageRange(number * pages, (number + 1) * pages) for number in blocks)


def joined(ranges: Iterable[PageRange]) -> tuple[PageRange, ...]:
    """Sort ranges, drop the empty ones and join those that touch or overlap."""
    result: list[PageRange] = []
    for each in sorted(ranges):
        if each.end <= each.start:
            continue
        if result and each.start <= result[-1].end:
            result[-1] = PageRange(result[-1].start, max(result[-1].end, each.end))
        else:
            result.append(each)
    return tuple(result)


def pieces(ranges: Iterable[PageRange], pages: int) -> list[PageRange]:
    """Cut ranges into pieces of at most `pages` pages, so that two workers can share them evenly."""
    return [
        PageRange(start, min(start + pages, each.end))
        for each in ranges
        for start in range(each.start, each.end, pages)
    ]
