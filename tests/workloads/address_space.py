"""What an address space costs the kernel: mappings and page tables."""

from __future__ import annotations

import ctypes
import mmap
from contextlib import ExitStack

from kmemscope.model.kinds import Kind
from tests.workloads.kernel_calls import checked, libc
from tests.workloads.workload import Workload, pages, unreclaimable

PAGE_BYTES = mmap.PAGESIZE
TABLE_COVERS = PAGE_BYTES * (PAGE_BYTES // 8)
"""Bytes of addresses that one page of page-table entries covers."""
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


def mappings(count: int, keep: ExitStack) -> int:
    """Forbid every other page of an area: each page becomes a mapping of its own."""
    area = mmap.mmap(-1, count * PAGE_BYTES, PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
    first = ctypes.addressof(ctypes.c_char.from_buffer(area))
    for page in range(1, count, 2):
        address = ctypes.c_void_p(first + page * PAGE_BYTES)
        checked(libc.mprotect(address, ctypes.c_size_t(PAGE_BYTES), 0), "mprotect")
    keep.callback(len, area)  # keeps it mapped: unmapping 20,000 pieces is left to the exit
    return count


def page_tables(count: int, keep: ExitStack) -> int:
    """Read one byte of each part of a huge area that has a table of its own.

    Reading maps the shared page of zeros, so that the tables are all that is made.
    """
    area = mmap.mmap(-1, count * TABLE_COVERS, PRIVATE, mmap.PROT_READ)
    area.madvise(mmap.MADV_NOHUGEPAGE)
    for each in range(count):
        area[each * TABLE_COVERS]
    keep.callback(area.close)
    return count


WORKLOADS = (
    Workload(
        name="mappings",
        summary="mappings of one page with changing protection: a vm_area_struct each",
        make=mappings,
        count=20_000,
        expects=(unreclaimable("vm_area_struct"),),
    ),
    Workload(
        name="page_tables",
        summary="one page touched in every 2 MiB: a page of page-table entries each",
        make=page_tables,
        count=2_000,
        expects=(pages(Kind.PAGETABLES, bytes_per_unit=PAGE_BYTES),),
    ),
)
