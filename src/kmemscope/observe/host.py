"""Reads what the machine is: kernel, page size, CPUs, memory. Knows nothing of what runs on it."""

from __future__ import annotations

import os

from kmemscope.model.node import Host
from kmemscope.observe.hostfs import HostFs, to_text

_MOST_CPUS = 1 << 16
"""CONFIG_NR_CPUS is at most 8,192; a larger number in the list is nonsense."""


def read_host(hostfs: HostFs) -> Host:
    """Read the host. Where a file is missing, this process's own view stands in: never zero CPUs."""
    release = hostfs.read("/proc/sys/kernel/osrelease", 1 << 10)
    return Host(
        kernel=to_text(release.strip()) if release and release.strip() else os.uname().release,
        page_bytes=os.sysconf("SC_PAGE_SIZE"),
        cpus=count_cpus(hostfs.read("/sys/devices/system/cpu/possible", 1 << 16)) or os.cpu_count() or 1,
        memory_bytes=memory_total(hostfs.read("/proc/meminfo", 1 << 16)) or _own_memory(),
    )


def count_cpus(text: bytes | None) -> int | None:
    """Count the CPUs of a list such as `0-3,8`; None when it is not one.

    The form is that of lib/bitmap.c bitmap_print_to_pagebuf.
    """
    if text is None:
        return None
    count = 0
    for part in text.strip().split(b","):
        first, dash, last = part.partition(b"-")
        last = last if dash else first
        if not (first.isdigit() and last.isdigit() and len(first) <= 6 and len(last) <= 6):
            return None
        if not int(first) <= int(last) < _MOST_CPUS:
            return None
        count += int(last) - int(first) + 1
    return count


def memory_total(text: bytes | None) -> int | None:
    """Bytes in the line `MemTotal:` of /proc/meminfo, which is in KiB; None when there is none."""
    for line in (text or b"").split(b"\n"):
        match line.split():
            case [b"MemTotal:", number, b"kB"] if number.isdigit() and len(number) <= 20:
                return int(number) << 10
    return None


def _own_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
