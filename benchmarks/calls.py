"""How long a single call into the kernel lasts: while it runs, nothing else that needs this CPU without preemption may.

Every bpf(2) and every read(2) of an iterator is timed, by the wall and by the CPU time of the thread that made it: on a
machine that others use, the wall shows their time too.
"""

from __future__ import annotations

import ctypes
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.timing import rounded
from kmemscope.observe.bpf import syscalls

NAMES = {
    syscalls.LOOKUP_BATCH: "read a map",
    syscalls.LOOKUP_AND_DELETE_BATCH: "take a map",
}
INFO_BY_FD = 15
INFO_BYTES = 80
INFO_NAME = slice(64, 80)
"""Of struct bpf_prog_info, include/uapi/linux/bpf.h."""
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

    def syscall(number: int, command: int, attributes: Any, size: int) -> Any:  # noqa: ANN401
        name = NAMES.get(command, OTHER)
        if command == syscalls.PROG_TEST_RUN:
            name = f"run {program_name(int.from_bytes(attributes[:4], sys.byteorder))}"
        return found.time(name, libc.syscall, number, command, attributes, size)

    def program_name(fd: int) -> str:
        info = ctypes.create_string_buffer(INFO_BYTES)
        query = ctypes.create_string_buffer(struct.pack("=IIQ", fd, INFO_BYTES, ctypes.addressof(info)))
        libc.syscall(syscalls.syscall_number(), INFO_BY_FD, query, len(query))
        return info.raw[INFO_NAME].split(b"\0")[0].decode()

    def read(fd: int, length: int) -> Any:  # noqa: ANN401
        return found.time(READ_ITERATOR, os.read, fd, length)

    # errno is kept by ctypes for each thread, so it passes through.
    vars(syscalls).update(libc=Watched(libc, syscall=syscall), os=Watched(os, read=read))
    try:
        yield found
    finally:
        vars(syscalls).update(libc=libc, os=os)
