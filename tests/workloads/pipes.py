"""Pipes that nobody reads."""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack

from kmemscope.model.kinds import Kind
from tests.workloads.limits import allow_descriptors
from tests.workloads.workload import Workload, pages, unreclaimable

PIPE_BYTES = 64 * 1024
"""What a pipe holds unless told otherwise."""


def full_pipes(count: int, keep: ExitStack) -> int:
    """Fill pipes to the brim."""
    allow_descriptors(2 * count)
    for _ in range(count):
        _, write_end = os.pipe()
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        os.write(write_end, bytes(PIPE_BYTES))
    return count


def empty_pipes(count: int, keep: ExitStack) -> int:
    """Open pipes and write nothing."""
    allow_descriptors(2 * count)
    for _ in range(count):
        os.pipe()
    return count


WORKLOADS = (
    Workload(
        name="full_pipes",
        summary="pipes with 64 KiB of unread data: 16 pages and two open files each",
        make=full_pipes,
        count=150,
        expects=(
            pages(Kind.PIPE_BUFFERS, bytes_per_unit=PIPE_BYTES),
            unreclaimable("filp", per_unit=2),
        ),
    ),
    Workload(
        name="empty_pipes",
        summary="pipes without data: a pipe_inode_info, its ring and two open files each",
        make=empty_pipes,
        count=2_000,
        expects=(
            unreclaimable("kmalloc-cg-1k"),
            unreclaimable("kmalloc-cg-192", "kmalloc-cg-256"),
            unreclaimable("filp", per_unit=2),
        ),
    ),
)
