"""How long a single call into the kernel lasts: while it runs, nothing else that needs this CPU without preemption may.

Every bpf(2) and every read(2) of an iterator is timed, by the wall and by the CPU time of the thread that made it: on a
machine that others use, the wall shows their time too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.timing import rounded
from kmemscope.observe.bpf import syscalls

NAMES = {
    syscalls.PROG_TEST_RUN: "run a program",
    syscalls.LOOKUP_BATCH: "read a map",
    syscalls.LOOKUP_AND_DELETE_BATCH: "take a map",
}
READ_ITERATOR = "read an iterator"
OTHER = "other"


@dataclass(slots=True)
class Longest:
    """The longest call of one kind, in ns."""

    calls: int = 0
    wall: int = 0
    cpu: int = 0


@dataclass(slots=True)
class CallClock:
    """The longest calls since it was made."""

    longest: dict[str, Longest] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def time(self, name: str, call: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - of any call
        """Make a call and note how long it took."""
        wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
        try:
            return call(*arguments)
        finally:
            cpu = time.thread_time_ns() - cpu
            wall = time.perf_counter_ns() - wall
            with self.lock:
                noted = self.longest.setdefault(name, Longest())
                noted.calls += 1
                noted.wall = max(noted.wall, wall)
                noted.cpu = max(noted.cpu, cpu)

    def figures(self) -> dict[str, Any]:
        """Milliseconds by kind of call."""
        return {
            name: {"calls": each.calls, "max_ms": rounded(each.wall / 1e6), "max_cpu_ms": rounded(each.cpu / 1e6)}
            for name, each in sorted(self.longest.items())
        }


class Watched:
    """Stands in for a module or library: the calls to some of its functions are timed, all else is its own."""

    def __init__(self, real: Any, **functions: Callable[..., Any]) -> None:  # noqa: ANN401 - a module or a library
        self._real = real
        self.__dict__.update(functions)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._real, name)


@contextmanager
def clock() -> Iterator[CallClock]:
    """Time all calls that the census makes meanwhile."""
    found, libc, os = CallClock(), syscalls.libc, vars(syscalls)["os"]

    def syscall(number: int, command: int, *rest: object) -> Any:  # noqa: ANN401
        return found.time(NAMES.get(command, OTHER), libc.syscall, number, command, *rest)

    def read(fd: int, length: int) -> Any:  # noqa: ANN401
        return found.time(READ_ITERATOR, os.read, fd, length)

    # errno is kept by ctypes for each thread, so it passes through.
    vars(syscalls).update(libc=Watched(libc, syscall=syscall), os=Watched(os, read=read))
    try:
        yield found
    finally:
        vars(syscalls).update(libc=libc, os=os)
