"""Where the kernel keeps its page headers, found without symbols.

A page of our own is put into a pipe: the pipe then holds the address of its header, and /proc/self/pagemap tells its
page frame number; with CONFIG_SPARSEMEM_VMEMMAP all headers are one array, so one pair gives its base. A second page
must give the same base, or there is no such array and nothing is guessed.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path

from kmemscope.model.errors import KernelUnsupported, NotPermitted
from kmemscope.observe.bpf.census_programs import CensusPrograms

PAGEMAP_ENTRY_BYTES = 8
PFN_MASK = (1 << 55) - 1
"""Bits 0-54 of a pagemap entry (Documentation/admin-guide/mm/pagemap.rst)."""

libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class PageHeaders:
    """The array of page headers and what BTF says about this kernel."""

    base: int
    """Address of the header of page frame 0."""
    own_task: int
    """Address of the task_struct of the thread that asked: an object of which we know the cache."""
    header_bytes: int
    stack_areas: bool
    """Kernel stacks are vmalloc areas that their task points at (CONFIG_VMAP_STACK)."""
    large_kmalloc_type: bool
    """Large kmalloc pages carry a type of their own (kernel 6.16)."""
    stock_slots: int
    """For how many payers a CPU keeps memory that it has charged in advance."""


def find(programs: CensusPrograms) -> PageHeaders:
    """Find the page headers.

    Raises NotPermitted when pagemap hides page frame numbers, KernelUnsupported when two pages disagree or the
    headers are larger than the census can hold.
    """
    first, second = (locate(programs) for _ in range(2))
    if first != second:
        raise KernelUnsupported(
            "the page headers of this kernel could not be found",
            why=f"two pages disagree: {first.base:#x} and {second.base:#x}",
            todo="a kernel with CONFIG_SPARSEMEM_VMEMMAP is needed",
        )
    return first


def locate(programs: CensusPrograms) -> PageHeaders:
    """Put one page into a pipe and see where its header lies."""
    page_bytes = mmap.PAGESIZE
    reader, writer = os.pipe()
    page = mmap.mmap(-1, page_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    view = ctypes.c_char.from_buffer(page)
    try:
        page[0] = 1
        address = ctypes.addressof(view)
        vector = ctypes.create_string_buffer(struct.pack("=QQ", address, page_bytes))
        if libc.vmsplice(writer, vector, 1, 0) != page_bytes:
            error = ctypes.get_errno()
            raise KernelUnsupported("vmsplice(2) was refused", why=os.strerror(error))
        # Only now: the pipe's reference keeps the page where it is.
        frame = frame_number(address // page_bytes)
        probed = programs.probe(reader)
    finally:
        del view
        page.close()
        os.close(reader)
        os.close(writer)
    if not 0 < probed.header_bytes <= probed.header_max:
        raise KernelUnsupported(
            f"the page headers of this kernel have {probed.header_bytes} bytes, and {probed.header_max} fit",
            todo="please report this with the kernel's version",
        )
    return PageHeaders(
        base=probed.page - frame * probed.header_bytes,
        own_task=probed.task,
        header_bytes=probed.header_bytes,
        stack_areas=probed.stack_areas,
        large_kmalloc_type=probed.large_kmalloc_type,
        stock_slots=probed.stock_slots,
    )


def frame_number(page: int) -> int:
    """Page frame number of a page of our own address space."""
    with Path("/proc/self/pagemap").open("rb", buffering=0) as pagemap:
        raw = os.pread(pagemap.fileno(), PAGEMAP_ENTRY_BYTES, page * PAGEMAP_ENTRY_BYTES)
    frame = (struct.unpack("=Q", raw)[0] if len(raw) == PAGEMAP_ENTRY_BYTES else 0) & PFN_MASK
    if not frame:
        raise NotPermitted(
            "/proc/self/pagemap hides page frame numbers",
            why="CAP_SYS_ADMIN is missing",
            todo="run as root, or give the container CAP_SYS_ADMIN",
        )
    return int(frame)
