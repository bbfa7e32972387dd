"""Reads the memory files of one cgroup directory, of version 1 or 2, into a `Cgroup`.

Knows which file and which row says what, and what it means when it is missing. Does not know where cgroups
are, nor whose they are.
"""

from __future__ import annotations

from collections.abc import Mapping

from kmemscope.model.node import Cgroup
from kmemscope.observe.hostfs import read_at

_NUMBER_BYTES = 64
_STAT_BYTES = 64 << 10
_DIGITS = 20
"""Of 2**64 - 1, the largest number that the kernel prints here."""

NO_LIMIT_V1 = (1 << 63) - (1 << 20)
"""Limits of version 1 from here on are none.

The kernel prints PAGE_COUNTER_MAX pages, LONG_MAX rounded down to a page (include/linux/page_counter.h);
pages are up to 256 KiB. Before 3.19 it printed LLONG_MAX or ULLONG_MAX.
"""

KERNEL_V1 = "memory.kmem.usage_in_bytes"
KERNEL_V2 = "memory.stat: kernel"

_KERNEL_ROWS = ("kernel_stack", "pagetables", "sec_pagetables", "percpu", "vmalloc", "slab")
"""Rows of memory.stat that make up most of kernel memory where there is no row `kernel`.

pagetables since 5.11, vmalloc since 5.17, kernel since 5.18 (commit a8c49af3be5f), sec_pagetables since 6.1
(mm/memcontrol.c memory_stats[]). Their sum lacks what has no row: pipe buffers, io_uring rings, zswap.
"""


def parse_number(data: bytes | None) -> int | None:
    """Understand a file with one number that is not negative; None when it holds anything else."""
    if data is None:
        return None
    text = data.strip()
    return int(text) if text.isdigit() and len(text) <= _DIGITS else None


def parse_limit_v1(data: bytes | None) -> int | None:
    """Understand memory.limit_in_bytes: bytes, or None when there is no limit or no such file."""
    limit = parse_number(data)
    return None if limit is None or limit >= NO_LIMIT_V1 else limit


def parse_rows(data: bytes | None) -> dict[str, int]:
    """Understand a file of rows `name number`, as memory.stat; other rows and a row cut in two are left
    out."""
    if not data:
        return {}
    rows: dict[str, int] = {}
    lines = data.split(b"\n")
    lines.pop()  # after the last end of line there is nothing, or a row that was cut
    for line in lines:
        name, _, number = line.partition(b" ")
        if name and number.isdigit() and len(number) <= _DIGITS:
            rows[name.decode("ascii", "replace")] = int(number)
    return rows


def kernel_of(rows: Mapping[str, int]) -> tuple[int | None, str | None]:
    """Bytes of kernel memory by the rows of memory.stat, and which rows said so; None twice when none
    does."""
    if "kernel" in rows:
        return rows["kernel"], KERNEL_V2
    present = [name for name in _KERNEL_ROWS if name in rows]
    if not present:
        return None, None
    return sum(rows[name] for name in present), f"memory.stat: {' + '.join(present)}"


def read_v1(directory: int, path: str, cgroup_id: int) -> Cgroup:
    """Read a cgroup of version 1. Fields are None where their file is missing.

    Its numbers include the subtree if memory.use_hierarchy is set, as it always is since 5.11. sock_bytes is
    counted only once a TCP limit was written for the cgroup (mm/memcontrol-v1.c memcg_update_tcp_max); it is
    0 before.
    """
    kernel = parse_number(read_at(directory, b"memory.kmem.usage_in_bytes", _NUMBER_BYTES))
    return Cgroup(
        path=path,
        id=cgroup_id,
        version=1,
        usage_bytes=parse_number(read_at(directory, b"memory.usage_in_bytes", _NUMBER_BYTES)),
        limit_bytes=parse_limit_v1(read_at(directory, b"memory.limit_in_bytes", _NUMBER_BYTES)),
        kernel_bytes=kernel,
        kernel_source=None if kernel is None else KERNEL_V1,
        sock_bytes=parse_number(read_at(directory, b"memory.kmem.tcp.usage_in_bytes", _NUMBER_BYTES)),
    )


def read_v2(directory: int, path: str, cgroup_id: int) -> Cgroup:
    """Read a cgroup of version 2. Fields are None where their file or row is missing.

    The root has neither memory.current nor memory.max; a cgroup for which the memory controller is not
    enabled has no memory file at all, and its memory is in its parent's numbers.
    """
    rows = parse_rows(read_at(directory, b"memory.stat", _STAT_BYTES))
    state = parse_rows(read_at(directory, b"cgroup.stat", _STAT_BYTES))
    kernel, source = kernel_of(rows)
    return Cgroup(
        path=path,
        id=cgroup_id,
        version=2,
        usage_bytes=parse_number(read_at(directory, b"memory.current", _NUMBER_BYTES)),
        limit_bytes=parse_number(read_at(directory, b"memory.max", _NUMBER_BYTES)),  # "max" is no number
        kernel_bytes=kernel,
        kernel_source=source,
        sock_bytes=rows.get("sock"),
        stat=rows,
        dying_descendants=state.get("nr_dying_descendants"),
    )
