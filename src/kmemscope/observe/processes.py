"""Lists the processes of a cgroup and all below it, from cgroup.procs and /proc/PID.

Knows the counts that a process shows to everybody. Does not know what its descriptors or threads hold.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from kmemscope.model.node import Process
from kmemscope.observe.cgroups import MemoryHierarchy
from kmemscope.observe.hostfs import HostFs, is_absence, open_directory, read_at, to_text

MOST_PROCESSES = 10_000

_STATUS_BYTES = 1 << 20
"""Of one status: 65,536 supplementary groups, which a hostile process may have, take up to 720 KiB."""
_STATUS_USUAL = 4096
_MOST_FDS = 1 << 20
"""Counted by listing; fs.nr_open allows as many by default."""
_DIGITS = 20


def processes_of(
    hostfs: HostFs, hierarchy: MemoryHierarchy, path: str, *, limit: int = MOST_PROCESSES
) -> tuple[tuple[Process, ...], int]:
    """Read the processes in the subtree of a cgroup: at most `limit`, and how many were left out.

    Left out are those above the limit and those that exist but cannot be read: outside of this process's PID
    namespace, or hidden by /proc's hidepid. A process that ends meanwhile is neither listed nor counted.
    """
    found: list[Process] = []
    vanished: list[tuple[str, int]] = []
    dropped = 0
    can_read = hostfs.same_pids
    for cgroup, pid in _pids(hierarchy, path):
        if not pid or not can_read or len(found) == limit:
            dropped += 1
            continue
        process = read_process(hostfs, pid, cgroup)
        if process is None:
            vanished.append((cgroup, pid))
        else:
            found.append(process)
    return tuple(found), dropped + _hidden(hierarchy, vanished)


def read_process(hostfs: HostFs, pid: int, cgroup: str) -> Process | None:
    """Read one process; None when it is gone or hidden.

    All is read from one open directory, so that a new process of the same number is not mixed in.
    """
    directory = open_directory(hostfs.real(f"/proc/{pid}"))
    if directory is None:
        return None
    try:
        status = read_at(directory, b"status", _STATUS_USUAL)
        if status is not None and len(status) == _STATUS_USUAL:
            status = read_at(directory, b"status", _STATUS_BYTES)
        parsed = None if status is None else parse_status(status)
        if parsed is None:
            return None
        comm, threads, page_table_bytes = parsed
        return Process(pid, comm, threads, _count_fds(directory), page_table_bytes, cgroup)
    finally:
        os.close(directory)


def parse_status(status: bytes) -> tuple[str, int, int | None] | None:
    """Understand /proc/PID/status: name, threads, bytes of page tables; None when it lacks name or threads.

    A name cannot forge a line: the kernel prints its newlines as `\\n` (fs/proc/array.c proc_task_name).
    VmPTE counts page tables of all levels (fs/proc/task_mmu.c task_mem); a zombie has none.
    """
    if not status.startswith(b"Name:\t"):
        return None
    name = status[6 : status.find(b"\n")]
    threads = _field(status, b"\nThreads:\t", b"\n")
    if threads is None:
        return None
    tables = _field(status, b"\nVmPTE:\t", b" kB\n")
    return to_text(_unescape(name)), threads, None if tables is None else tables << 10


def _field(status: bytes, label: bytes, unit: bytes) -> int | None:
    start = status.find(label)
    if start < 0:
        return None
    start += len(label)
    end = status.find(unit, start, start + 64)
    text = status[start:end].strip() if end >= 0 else b""
    return int(text) if text.isdigit() and len(text) <= _DIGITS else None


def _unescape(name: bytes) -> bytes:
    if b"\\" not in name:
        return name
    parts = name.split(b"\\\\")
    return b"\\".join(part.replace(b"\\n", b"\n") for part in parts)


def _count_fds(directory: int) -> int | None:
    """Open descriptors of a process; None when it does not let us see, or has more than can be counted."""
    try:
        size = os.stat(b"fd", dir_fd=directory, follow_symlinks=False).st_size
        if size:  # since 6.2 the size is the count (commit f1f1f2569901, fs/proc/fd.c proc_fd_getattr)
            return size
        fd = os.open(b"fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=directory)
    except OSError as error:
        if is_absence(error):
            return None
        raise
    try:
        return _count_names(fd)
    finally:
        os.close(fd)


def _count_names(fd: int) -> int | None:
    count = 0
    try:
        with os.scandir(fd) as entries:
            for _ in entries:
                count += 1
                if count > _MOST_FDS:
                    return None
    except OSError as error:
        if is_absence(error):
            return None
        raise
    return count


def _pids(hierarchy: MemoryHierarchy, path: str) -> Iterator[tuple[str, int]]:
    """Pairs of cgroup and process; each process once, though version 1 lists it where any thread of it is."""
    seen: set[int] = set()
    for cgroup, _ in hierarchy.walk(path):
        for pid in hierarchy.all_pids(cgroup):
            if not pid or pid not in seen:
                seen.add(pid)
                yield cgroup, pid


def _hidden(hierarchy: MemoryHierarchy, vanished: list[tuple[str, int]]) -> int:
    """How many of the processes that /proc did not show are still listed by their cgroup: they are hidden."""
    still: dict[str, frozenset[int]] = {}
    for cgroup, _ in vanished:
        if cgroup not in still:
            still[cgroup] = frozenset(hierarchy.all_pids(cgroup))
    return sum(pid in still[cgroup] for cgroup, pid in vanished)
