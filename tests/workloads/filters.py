"""seccomp filters stacked on one thread: a small BPF program each, never removable."""

from __future__ import annotations

import ctypes
import struct
from contextlib import ExitStack

from kmemscope.model.kinds import Kind
from tests.workloads.kernel_calls import needed, older_number, system_call
from tests.workloads.workload import Workload, pages

SECCOMP_SET_MODE_FILTER = 1
RETURN = 0x06
ALLOW = 0x7FFF0000


def seccomp_filters(count: int, keep: ExitStack) -> int:
    """Stack filters that allow everything."""
    instruction = ctypes.create_string_buffer(struct.pack("HBBI", RETURN, 0, 0, ALLOW), 8)
    program = ctypes.create_string_buffer(struct.pack("HP", 1, ctypes.addressof(instruction)), 16)
    for _ in range(count):
        try:
            system_call(older_number("seccomp"), SECCOMP_SET_MODE_FILTER, 0, program, what="seccomp")
        except OSError as error:
            raise needed("seccomp filters", error) from None
    return count


WORKLOADS = (
    Workload(
        name="seccomp_filters",
        summary="stacked seccomp filters: a page of vmalloc for the program of each",
        make=seccomp_filters,
        count=500,
        expects=(pages(Kind.VMALLOC, bytes_per_unit=4096),),
    ),
)
