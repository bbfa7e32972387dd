"""Pseudo terminals left open, of a devpts instance of one's own."""

from __future__ import annotations

import os
from contextlib import ExitStack

from tests.workloads.detached import file_system
from tests.workloads.limits import allow_descriptors
from tests.workloads.workload import Workload, reclaimable, unreclaimable


def terminals(count: int, keep: ExitStack) -> int:
    """Open terminal masters; each brings its slave along."""
    allow_descriptors(count)
    root = file_system("devpts")
    for _ in range(count):
        os.open("ptmx", os.O_RDWR | os.O_NOCTTY, dir_fd=root)
    return count


WORKLOADS = (
    Workload(
        name="terminals",
        summary="open pseudo terminals: two tty_structs, an inode and an open file each",
        make=terminals,
        count=800,
        expects=(
            unreclaimable("kmalloc-cg-1k", "kmalloc-cg-512", per_unit=2),
            unreclaimable("filp"),
            reclaimable("inode_cache"),
        ),
    ),
)
