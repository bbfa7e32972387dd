"""Reads /proc/PID/mountinfo: which file system is mounted where, and which part of it.

Knows the format (Documentation/filesystems/proc.rst, section 3.5) and its octal escapes. Does not know which
mount is wanted.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from kmemscope.observe.hostfs import HostFs, to_text

MOST_BYTES = 16 << 20
"""Of one mountinfo; 100,000 mounts, the kernel's default fs.mount-max, take about this."""

_OCTAL = re.compile(rb"\\([0-3][0-7]{2})")
_SEPARATOR = b"-"
_OPTIONAL_FIELDS = 6
"""Index of the first optional field; their end is the separator."""


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount."""

    root: str
    """Which part of the file system is mounted, a path in it; `/` for the whole."""
    point: str
    """Where it is mounted, as the process sees it whose mountinfo this is."""
    fstype: str
    options: tuple[str, ...]
    """Options of the file system (not of the mount); for cgroup v1 its controllers are among them."""


def unescape(name: bytes) -> bytes:
    r"""Undo the kernel's escapes of a name: `\040` is a space (fs/seq_file.c mangle_path)."""
    return _OCTAL.sub(lambda match: bytes((int(match[1], 8),)), name)


def parse_mount(line: bytes) -> Mount | None:
    """Understand one line of mountinfo, without its end; None when it is not one."""
    fields = line.split(b" ")
    try:
        end = fields.index(_SEPARATOR, _OPTIONAL_FIELDS)
        fstype, _source, options = fields[end + 1 : end + 4]
    except ValueError:
        return None
    return Mount(
        root=to_text(unescape(fields[3])),
        point=to_text(unescape(fields[4])),
        fstype=to_text(unescape(fstype)),
        options=tuple(to_text(unescape(option)) for option in options.split(b",")),
    )


def parse_mounts(lines: list[bytes]) -> list[Mount]:
    """Understand the lines of a mountinfo, in their order; what is not a line of one is left out."""
    return [mount for line in lines if (mount := parse_mount(line)) is not None]


def cgroup_mounts(hostfs: HostFs) -> list[Mount]:
    """Mounts of cgroup file systems, their points named below the root of `hostfs`, the surest reading
    first."""
    own = parse_mounts(hostfs.read_lines("/proc/self/mountinfo", MOST_BYTES) or [])
    root = to_text(os.fsencode(hostfs.root)).rstrip("/")
    if not root:
        return [mount for mount in own if mount.fstype.startswith("cgroup")]
    # Below another root, this process's mountinfo names the same mounts with that root before them, the
    # host's first process's without.
    first = parse_mounts(hostfs.read_lines("/proc/1/mountinfo", MOST_BYTES) or [])
    below = [
        Mount(mount.root, mount.point.removeprefix(root), mount.fstype, mount.options)
        for mount in own
        if mount.point.startswith(root + "/")
    ]
    surest: dict[str, Mount] = {}
    for mounts in (below, first, own):
        for mount in reversed(mounts):  # of two mounts on one point the later hides the earlier
            if mount.fstype.startswith("cgroup"):
                surest.setdefault(mount.point, mount)
    return list(surest.values())
