"""io_uring instances: rings of pages shared with the program."""

from __future__ import annotations

import ctypes
from contextlib import ExitStack

from kmemscope.model.kinds import Kind
from tests.workloads.kernel_calls import IO_URING_SETUP, needed, system_call
from tests.workloads.workload import Workload, pages

ENTRIES = 4_096
SUBMISSION_BYTES = ENTRIES * 64
COMPLETION_BYTES = 2 * ENTRIES * 16
PARAMETERS_BYTES = 120
"""sizeof(struct io_uring_params); all zero asks for nothing special."""


def io_urings(count: int, keep: ExitStack) -> int:
    """Set up rings; nothing is ever submitted."""
    for _ in range(count):
        parameters = ctypes.create_string_buffer(PARAMETERS_BYTES)
        try:
            system_call(IO_URING_SETUP, ENTRIES, parameters, what="io_uring_setup")
        except OSError as error:
            raise needed("io_uring", error) from None
    return count


WORKLOADS = (
    Workload(
        name="io_urings",
        summary="io_uring instances of 4,096 entries: 384 KiB of ring pages each",
        make=io_urings,
        count=16,
        expects=(pages(Kind.OTHER_PAGES, Kind.VMALLOC, bytes_per_unit=SUBMISSION_BYTES + COMPLETION_BYTES),),
    ),
)
