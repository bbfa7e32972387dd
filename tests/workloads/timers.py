"""POSIX timers and queued signals: what a process owes without holding a descriptor for it."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from contextlib import ExitStack

from tests.workloads.kernel_calls import checked, libc
from tests.workloads.limits import allow_signals
from tests.workloads.workload import Workload, unreclaimable


def posix_timers(count: int, keep: ExitStack) -> int:
    """Create timers that are never armed."""
    allow_signals(count)
    for _ in range(count):
        timer = ctypes.c_void_p()
        checked(libc.timer_create(time.CLOCK_MONOTONIC, None, ctypes.byref(timer)), "timer_create")
    return count


def queued_signals(count: int, keep: ExitStack) -> int:
    """Send real-time signals to this process, which blocks them: each one is kept."""
    allow_signals(count)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMIN})
    for each in range(count):
        checked(libc.sigqueue(os.getpid(), int(signal.SIGRTMIN), ctypes.c_void_p(each)), "sigqueue")
    return count


WORKLOADS = (
    Workload(
        name="posix_timers",
        summary="POSIX timers: a k_itimer each, and up to 6.12 a signal set aside for it",
        make=posix_timers,
        count=10_000,
        expects=(unreclaimable("posix_timers_cache"),),
    ),
    Workload(
        name="queued_signals",
        summary="blocked real-time signals that wait: a sigqueue each",
        make=queued_signals,
        count=25_000,
        expects=(unreclaimable("sigqueue"),),
    ),
)
