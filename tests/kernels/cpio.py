"""Writes a folder as a "newc" cpio archive, the format in which the kernel takes its first root.

Knows the format and nothing of what is packed. Several archives written one after another are one root to
the kernel, so the large part that never changes is packed once and the project's own files are put behind
it.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import BinaryIO

_END = "TRAILER!!!"


def pack(folder: Path, output: BinaryIO) -> None:
    """Write everything below `folder` (files, folders, links; owned by root, dated 1970) and the end mark."""
    number = 0
    for path in sorted(folder.rglob("*")):
        number += 1
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            content = str(path.readlink()).encode()
        elif stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        elif stat.S_ISDIR(status.st_mode):
            content = b""
        else:
            continue
        _entry(output, number, path.relative_to(folder).as_posix(), status.st_mode, content)
    _entry(output, 0, _END, 0, b"")


def pack_device(output: BinaryIO, name: str, major: int, minor: int) -> None:
    """Write a character device for root as an archive of its own; an earlier one must hold its folder."""
    _entry(output, 1, name, stat.S_IFCHR | 0o600, b"", device=(major, minor))
    _entry(output, 0, _END, 0, b"")


def _entry(
    output: BinaryIO, number: int, name: str, mode: int, content: bytes, device: tuple[int, int] = (0, 0)
) -> None:
    links = 2 if stat.S_ISDIR(mode) else 1
    path = name.encode() + b"\0"
    # inode, mode, uid, gid, links, mtime, size, device it is on, device it is, length of name, no checksum
    fields = (number, mode, 0, 0, links, 0, len(content), 0, 0, *device, len(path), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    output.write(_padded(header + path))
    output.write(_padded(content))


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
