"""Large descriptor tables and group lists: what a task carries in one piece, outside the slab caches."""

from __future__ import annotations

import ctypes
import os
import resource
import threading
from collections.abc import Callable
from contextlib import ExitStack

from tests.workloads.kernel_calls import checked, libc, needed, older_number, system_call
from tests.workloads.limits import allow
from tests.workloads.workload import LARGE_KINDS, UnavailableError, Workload, pages

CLONE_FILES = 0x400
HIGHEST_DESCRIPTOR = 16_384
"""The lowest that needs a table of 32,768; high enough to be large, low enough for a hard limit of 20,000."""
TABLE_BYTES = 8 * 32_768
GROUPS = 65_536
BYTES_PER_GROUP = 4


def in_threads(count: int, keep: ExitStack, prepare: Callable[[], None]) -> int:
    """Run `prepare` in threads that then wait; what it changes belongs to its thread alone."""
    done, ready = threading.Event(), threading.Barrier(count + 1)
    failures: list[Exception] = []

    def live() -> None:
        try:
            prepare()
        except (OSError, UnavailableError) as error:
            failures.append(error)
        ready.wait()
        done.wait()

    keep.callback(done.set)
    for _ in range(count):
        threading.Thread(target=live, daemon=True).start()
    ready.wait()
    for error in failures:
        raise error
    return count


def grow_own_table() -> None:
    """Give this thread a table of its own that reaches to a high descriptor."""
    checked(libc.unshare(CLONE_FILES), "unshare")
    os.dup2(0, HIGHEST_DESCRIPTOR)


def join_many_groups() -> None:
    """Put this thread, not its process as libc would, into all groups."""
    groups = (ctypes.c_uint32 * GROUPS)(*range(GROUPS))
    try:
        system_call(older_number("setgroups"), GROUPS, bytes(groups), what="setgroups")
    except OSError as error:
        raise needed("the right to set groups", error) from None


def descriptor_tables(count: int, keep: ExitStack) -> int:
    """Open one high descriptor in each of several tables."""
    allow(resource.RLIMIT_NOFILE, HIGHEST_DESCRIPTOR + 1, "open files")
    return in_threads(count, keep, grow_own_table)


def group_lists(count: int, keep: ExitStack) -> int:
    """Give each of several threads as many groups as there can be."""
    return in_threads(count, keep, join_many_groups)


WORKLOADS = (
    Workload(
        name="descriptor_tables",
        summary="tables that reach to descriptor 16,384: 256 KiB of large kmalloc or vmalloc each",
        make=descriptor_tables,
        count=24,
        expects=(pages(*LARGE_KINDS, bytes_per_unit=TABLE_BYTES),),
    ),
    Workload(
        name="group_lists",
        summary="threads in 65,536 groups: 256 KiB of large kmalloc or vmalloc each",
        make=group_lists,
        count=16,
        expects=(pages(*LARGE_KINDS, bytes_per_unit=GROUPS * BYTES_PER_GROUP),),
    ),
)
