"""Reads plain files below a root, so that the host's /proc and /sys may be mounted elsewhere.

Knows how to read without being harmed: sizes are bounded, links at the end of a path are not followed, pipes
and devices do not block, and names are bytes whatever the locale says. Does not know what any file means.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""O_NONBLOCK because a pipe in the place of a file would wait for its writer for ever."""

_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Errors that speak of this process and not of the file: taking them for an absent file would be a lie."""


class Absence(StrEnum):
    """Why a file gives nothing."""

    MISSING = "missing"
    GONE = "gone"
    """It was there; the process or cgroup behind it has ended (ESRCH, ENODEV)."""
    DENIED = "denied"
    UNREADABLE = "unreadable"
    """Not a plain file, or refused for another reason."""


def to_text(name: bytes) -> str:
    """Turn a file name into text that `to_bytes` turns back, whatever bytes it has and whatever the
    locale."""
    return name.decode("utf-8", "surrogateescape")


def to_bytes(name: str) -> bytes:
    """Turn text into a file name. A lone surrogate that no file name can have made is replaced by `?`."""
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return name.encode("utf-8", "replace")


def is_absence(error: OSError) -> bool:
    """Tell a file that cannot be read from this process having run out of descriptors or memory."""
    return error.errno not in _OURS


def read_at(directory: int, name: bytes, most: int) -> bytes | None:
    """Read up to `most` bytes of a file in an open directory with one read(2); None when it gives nothing.

    For files of the kernel made by single_open (all of cgroupfs' and /proc/PID's that are short), whose
    content one read returns whole when it fits.
    Raises OSError only when this process is out of descriptors or memory.
    """
    try:
        fd = os.open(name, _READ, dir_fd=directory)
    except OSError as error:
        if is_absence(error):
            return None
        raise
    try:
        return os.read(fd, most)
    except OSError as error:
        if is_absence(error):
            return None
        raise
    finally:
        os.close(fd)


def open_directory(path: bytes) -> int | None:
    """Open a directory as a place to start from (O_PATH, no right to list it needed); None when there is
    none.

    The caller closes it. Raises OSError as `read_at`.
    """
    try:
        return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except ValueError:  # a NUL byte in the name
        return None
    except OSError as error:
        if is_absence(error):
            return None
        raise


@dataclass(frozen=True, slots=True)
class HostFs:
    """The files of a host, found below `root`."""

    root: Path = Path("/")
    _prefix: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_prefix", os.fsencode(self.root).rstrip(b"/"))

    def real(self, path: str) -> bytes:
        """Name on this machine of a path of the host, which starts with `/`."""
        return self._prefix + to_bytes(path)

    def read(self, path: str, most: int) -> bytes | None:
        """Read a whole plain file of at most `most` bytes; None when it is absent, larger, or no plain file.

        Raises OSError only when this process is out of descriptors or memory.
        """
        data = self._read(path, most + 1)
        return None if data is None or len(data) > most else data

    def read_lines(self, path: str, most: int) -> list[bytes] | None:
        """Read the lines, without their ends, in the first `most` bytes; a line that the bound cuts is left
        out.

        None and errors as `read`.
        """
        data = self._read(path, most + 1)
        if data is None:
            return None
        lines = data.split(b"\n")
        if len(data) > most or not lines[-1]:
            lines.pop()
        return lines

    def names(self, path: str, most: int) -> list[str] | None:
        """List at most `most` names in a directory, sorted; None when it cannot be listed. Errors as
        `read`."""
        found: list[bytes] = []
        try:
            with os.scandir(self.real(path)) as entries:
                for entry in entries:
                    if len(found) == most:
                        break
                    found.append(entry.name)
        except ValueError:
            return None
        except OSError as error:
            if is_absence(error):
                return None
            raise
        return [to_text(name) for name in sorted(found)]

    def is_directory(self, path: str) -> bool:
        """Whether a directory of this name exists; a link to one counts."""
        try:
            return stat.S_ISDIR(os.stat(self.real(path)).st_mode)  # noqa: PTH116 - Path takes no bytes
        except (OSError, ValueError):
            return False

    def absence(self, path: str) -> Absence | None:
        """Say why a file gives nothing; None when its first byte, or its end, can be read."""
        try:
            fd = os.open(self.real(path), _READ)
        except ValueError:
            return Absence.MISSING
        except OSError as error:
            return _absence(error)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return Absence.UNREADABLE
            os.read(fd, 1)
        except OSError as error:
            return _absence(error)
        finally:
            os.close(fd)
        return None

    @property
    def same_pids(self) -> bool:
        """Whether this /proc numbers processes as this process sees them.

        cgroup.procs answers in the reader's PID namespace (kernel/cgroup/cgroup.c cgroup_procs_show), a
        mounted /proc in that of its mount. Where they differ, a number from the one names a stranger in the
        other.
        """
        try:
            return os.readlink(self.real("/proc/self")) == b"%d" % os.getpid()  # noqa: PTH115 - bytes
        except OSError:
            return True  # no /proc/self or, in a recorded tree, a plain directory

    def _read(self, path: str, most: int) -> bytes | None:
        try:
            fd = os.open(self.real(path), _READ)
        except ValueError:
            return None
        except OSError as error:
            if is_absence(error):
                return None
            raise
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            return _read_up_to(fd, most)
        except OSError as error:
            if is_absence(error):
                return None
            raise
        finally:
            os.close(fd)


def _read_up_to(fd: int, most: int) -> bytes:
    parts: list[bytes] = []
    left = most
    while left > 0 and (part := os.read(fd, min(left, 1 << 20))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _absence(error: OSError) -> Absence:
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR | errno.ENAMETOOLONG:
            return Absence.MISSING
        case errno.ESRCH | errno.ENODEV:
            return Absence.GONE
        case errno.EACCES | errno.EPERM:
            return Absence.DENIED
        case _:
            return Absence.UNREADABLE
