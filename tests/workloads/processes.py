"""Processes: sleeping children with copied page tables, and zombies that keep a task_struct but no stack."""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import ExitStack

from kmemscope.model.kinds import Kind
from tests.workloads.kernel_calls import libc
from tests.workloads.workload import Workload, pages, unreclaimable

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask the kernel to kill this child when the workload dies, however that happens."""
    libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)


def kill_and_reap(pid: int) -> None:
    """End a child that this workload forked."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def sleeping_children(count: int, keep: ExitStack) -> int:
    """Fork children that only wait."""
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            die_with_parent()
            while True:
                signal.pause()
        keep.callback(kill_and_reap, pid)
    return count


def zombies(count: int, keep: ExitStack) -> int:
    """Fork children that exit at once and that nobody waits for."""
    children = []
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        keep.callback(os.waitpid, pid, 0)
        children.append(pid)
    for pid in children:  # READY must mean dead, and WNOWAIT leaves the zombie
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return count


WORKLOADS = (
    Workload(
        name="processes",
        summary="sleeping forked children: stack, task, mm and copied page tables each",
        make=sleeping_children,
        count=60,
        expects=(
            pages(Kind.KERNEL_STACK, bytes_per_unit=16 * 1024),
            # At least a top level, and one table each for text, heap and stack.
            pages(Kind.PAGETABLES, bytes_per_unit=8 * 4096),
            unreclaimable("task_struct"),
            unreclaimable("mm_struct"),
            unreclaimable("files_cache"),
            unreclaimable("signal_cache"),
            unreclaimable("sighand_cache"),
            unreclaimable("vm_area_struct", per_unit=20),
        ),
    ),
    Workload(
        name="zombies",
        summary="children that exited and are not waited for: a task_struct and a signal_struct each",
        make=zombies,
        count=200,
        expects=(
            unreclaimable("task_struct"),
            unreclaimable("signal_cache"),
            unreclaimable("pid"),
        ),
    ),
)
