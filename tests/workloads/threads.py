"""Threads: a kernel stack and a task_struct each."""

from __future__ import annotations

import threading
from contextlib import ExitStack

from kmemscope.model.kinds import Kind
from tests.workloads.workload import Workload, pages, unreclaimable

STACK_BYTES = 64 * 1024
"""Of user memory, which is not what is measured: small."""


def sleeping_threads(count: int, keep: ExitStack) -> int:
    """Start threads that wait."""
    done = threading.Event()
    threading.stack_size(STACK_BYTES)
    for _ in range(count):
        threading.Thread(target=done.wait, daemon=True).start()
    keep.callback(done.set)
    return count


WORKLOADS = (
    Workload(
        name="threads",
        summary="sleeping threads: 16 KiB of kernel stack and a task_struct each",
        make=sleeping_threads,
        count=300,
        expects=(
            pages(Kind.KERNEL_STACK, bytes_per_unit=16 * 1024),
            unreclaimable("task_struct"),
            unreclaimable("pid"),
            unreclaimable("vm_area_struct"),
        ),
    ),
)
