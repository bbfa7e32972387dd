"""Finds the memory hierarchy of cgroups, walks it, and says which cgroup a process is in.

Knows mounts, namespaces and the difference between version 1 and 2. Does not know what a container is, nor
what the memory files say (memory_files.py).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace

from kmemscope.model.errors import KernelUnsupported
from kmemscope.model.node import Cgroup
from kmemscope.observe.hostfs import HostFs, is_absence, open_directory, to_bytes, to_text
from kmemscope.observe.memory_files import read_v1, read_v2
from kmemscope.observe.mounts import MOST_BYTES, Mount, cgroup_mounts

MOST_CGROUPS = 1 << 17
"""Visited by one walk. The kernel keeps at most 65,535 memory cgroups (MEM_CGROUP_ID_MAX); only directories
made while walking, or that the memory controller knows nothing of, can be more."""

_PATH_MAX = 4096
_PIDS_BYTES = 32 << 20
"""Of one cgroup.procs: 4 million processes, the most that fs.pid_max allows."""
_DELETED = " (deleted)"
_LEAF_LINKS = 2
"""kernfs gives a directory two links and one more for each directory in it (fs/kernfs/inode.c
kernfs_refresh_inode), so most directories need not be listed."""


class Walk:
    """Directories of a hierarchy, parents first, as pairs of path and inode; may be iterated once or more.

    Directories that come and go meanwhile are seen or not. `dropped` counts those left out by a bound in the
    latest iteration: too many, or so deep that the name is longer than any file of the kernel could tell.
    """

    def __init__(self, base: bytes, below: str, limit: int) -> None:
        self._base = base
        self._below = below
        self._limit = limit
        self.dropped = 0

    def __iter__(self) -> Iterator[tuple[str, int]]:
        self.dropped = 0
        seen = 0
        waiting = [b"" if self._below == "/" else to_bytes(self._below)]
        while waiting:
            path = waiting.pop()
            full = self._base + path
            if len(full) >= _PATH_MAX or seen == self._limit:
                self.dropped += 1
                continue
            try:
                state = os.lstat(full)
            except (OSError, ValueError):
                continue
            if not stat.S_ISDIR(state.st_mode):
                continue
            seen += 1
            yield (to_text(path) or "/", state.st_ino)
            if state.st_nlink != _LEAF_LINKS:
                waiting.extend(path + b"/" + name for name in _directories_in(full))


@dataclass(frozen=True, slots=True)
class MemoryHierarchy:
    """The cgroups that pay for memory, as far as this process can see them."""

    hostfs: HostFs
    version: int
    mount: str
    """Where it is mounted, below the root of `hostfs`."""
    root: str
    """Which of its cgroups is at the mount, as /proc/PID/cgroup names it: `/` or, in a container, its own."""
    namespaced: bool
    """Whether the cgroup at the mount is not the kernel's root: others exist that this process cannot see."""
    mounts: tuple[tuple[str, str], ...]
    """All pairs of mount and root of this hierarchy, the ones used first."""
    counts_kernel: bool = True
    """False when the kernel was booted with cgroup.memory=nokmem: its zeros are not counts."""
    counts_sockets: bool = True
    """False when the kernel was booted with cgroup.memory=nosocket."""

    @classmethod
    def find(cls, hostfs: HostFs) -> MemoryHierarchy:
        """Find the hierarchy that has the memory controller.

        Raises KernelUnsupported when no mount has it.
        """
        mounts = cgroup_mounts(hostfs)
        usable = [mount for mount in mounts if _has_memory(hostfs, mount)]
        if not usable:
            raise _unsupported(hostfs, mounts)
        best = min(usable, key=_preference)
        others = [mount for mount in usable if mount is not best]
        version = 1 if best.fstype == "cgroup" else 2
        off = _accounting_off(hostfs)
        return cls(
            hostfs=hostfs,
            version=version,
            mount=best.point,
            root=best.root,
            namespaced=not _is_kernel_root(hostfs, best.point, version),
            mounts=tuple((mount.point, mount.root) for mount in (best, *others)),
            counts_kernel="nokmem" not in off,
            counts_sockets="nosocket" not in off,
        )

    def walk(self, below: str = "/", *, limit: int = MOST_CGROUPS) -> Walk:
        """Visit a cgroup and all below it: (path, inode) each, parents first; empty when it is gone."""
        return Walk(self._base, below, limit)

    def read(self, path: str) -> Cgroup | None:
        """Read one cgroup, without its container; None when it is gone.

        A cgroup of the same name made meanwhile is not mixed in: all is read from one open directory.
        """
        directory = open_directory(self._base + (b"" if path == "/" else to_bytes(path)))
        if directory is None:
            return None
        try:
            reader = read_v1 if self.version == 1 else read_v2
            cgroup = reader(directory, path, os.fstat(directory).st_ino)
            incomplete = cgroup.usage_bytes is None or cgroup.kernel_bytes is None
            # Files that are missing from a cgroup that exists tell something; from a removed one, nothing.
            if incomplete and not _exists_at(directory, b"cgroup.procs"):
                return None
        finally:
            os.close(directory)
        return cgroup if self.counts_kernel and self.counts_sockets else self._without_uncounted(cgroup)

    def ancestors(self, path: str) -> list[str]:
        """Paths of the cgroups above one, nearest first and `/` last; empty for `/` itself."""
        found = []
        while path not in {"/", ""}:
            path = path.rpartition("/")[0] or "/"
            found.append(path)
        return found

    def exists(self, path: str) -> bool:
        """Whether there is a cgroup of this path now."""
        return self.id_of(path) is not None

    def id_of(self, path: str) -> int | None:
        """Inode of a cgroup's directory; None when there is no such cgroup."""
        try:
            state = os.lstat(self._base + (b"" if path == "/" else to_bytes(path)))
        except (OSError, ValueError):
            return None
        return state.st_ino if stat.S_ISDIR(state.st_mode) else None

    def of_pid(self, pid: int | str) -> str | None:
        """Path of the cgroup that a process is in (`self` is this one); None when it or its cgroup is gone.

        None also when the cgroup is outside of what is mounted.
        """
        lines = self.hostfs.read_lines(f"/proc/{pid}/cgroup", MOST_BYTES)
        name = None if lines is None else memory_cgroup_in(lines, self.version)
        if name is None:
            return None
        path = self.below_mount(name)
        if path is None:
            return self._search(os.getpid() if pid == "self" else int(pid))
        # Whether the suffix is the kernel's or part of the name, the name itself must tell.
        return path if not path.endswith(_DELETED) or self.exists(path) else None

    def pids(self, path: str) -> list[int]:
        """Processes in a cgroup itself, not below it; empty when it is gone.

        A process outside of the reader's PID namespace has no number and is left out.
        """
        return [pid for pid in self.all_pids(path) if pid]

    def all_pids(self, path: str) -> list[int]:
        """Like `pids`, with a 0 for every process that has no number in the reader's PID namespace.

        A threaded cgroup of version 2 has no list (EOPNOTSUPP); its processes are in that of its domain,
        where their memory is paid for, too.
        """
        name = f"{self.mount}{path}/cgroup.procs"
        lines = self.hostfs.read_lines(name, _PIDS_BYTES) or []
        return [int(line) for line in lines if line.isdigit() and len(line) <= 10]

    def below_mount(self, name: str) -> str | None:
        """Path below the mount of a cgroup named as /proc/PID/cgroup does; None when it is not below."""
        root = self.root.rstrip("/")
        if name == self.root:
            return "/"
        if not name.startswith(root + "/"):
            return None
        path = name.removeprefix(root)
        # In a cgroup namespace the kernel names what is outside by `/..`; such a name tells how far up, not
        # where.
        return None if path.split("/", 2)[1] == ".." else path

    @property
    def _base(self) -> bytes:
        return self.hostfs.real(self.mount).rstrip(b"/")

    def _search(self, pid: int) -> str | None:
        if not self.hostfs.same_pids:
            return None
        return next((path for path, _ in self.walk() if pid in self.all_pids(path)), None)

    def _without_uncounted(self, cgroup: Cgroup) -> Cgroup:
        if not self.counts_kernel:
            cgroup = replace(cgroup, kernel_bytes=None, kernel_source=None)
        return cgroup if self.counts_sockets else replace(cgroup, sock_bytes=None)


def memory_cgroup_in(lines: list[bytes], version: int) -> str | None:
    """Find the memory cgroup in the lines of /proc/PID/cgroup (`id:controllers:path`); None when none is
    there.

    A path has no newline: cgroup_mkdir refuses it (kernel/cgroup/cgroup.c).
    """
    for line in lines:
        number, _, rest = line.partition(b":")
        controllers, separator, path = rest.partition(b":")
        if not separator or not path.startswith(b"/"):
            continue
        ours = number == b"0" and not controllers if version == 2 else b"memory" in controllers.split(b",")
        if ours:
            return to_text(path)
    return None


def _directories_in(full: bytes) -> list[bytes]:
    """Names of the directories in one, last first, as a stack wants them."""
    names = []
    try:
        with os.scandir(full) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    names.append(entry.name)
    except OSError as error:  # removed meanwhile: what was listed until then may still be there
        if not is_absence(error):
            raise
    names.sort(reverse=True)
    return names


def _exists_at(directory: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return True


def _preference(mount: Mount) -> tuple[int, bool, int]:
    """Order of usable mounts, which are all of one hierarchy: first what shows most of it."""
    up = mount.root.count("/..") if mount.root.replace("/..", "") == "" else 0  # above our cgroup namespace
    return (-up, mount.root != "/" and not up, len(mount.point))


def _has_memory(hostfs: HostFs, mount: Mount) -> bool:
    # Looked at and not only read about: the mount may be hidden under a later one, or not be in our view at
    # all.
    if mount.fstype == "cgroup":
        limit = f"{mount.point}/memory.limit_in_bytes"
        return "memory" in mount.options and hostfs.absence(limit) is None
    return mount.fstype == "cgroup2" and b"memory" in _controllers(hostfs, mount.point)


def _controllers(hostfs: HostFs, mount: str) -> list[bytes]:
    return (hostfs.read(f"{mount}/cgroup.controllers", MOST_BYTES) or b"").split()


def _is_kernel_root(hostfs: HostFs, mount: str, version: int) -> bool:
    # CFTYPE_ONLY_ON_ROOT in cgroup1_base_files, CFTYPE_NOT_ON_ROOT in memory_files
    if version == 1:
        return hostfs.absence(f"{mount}/cgroup.sane_behavior") is None
    return hostfs.absence(f"{mount}/memory.current") is not None


def _accounting_off(hostfs: HostFs) -> set[str]:
    """Words of cgroup.memory= on the kernel's command line (mm/memcontrol.c cgroup_memory)."""
    words = (hostfs.read("/proc/cmdline", 1 << 16) or b"").split()
    options = [word.removeprefix(b"cgroup.memory=") for word in words if word.startswith(b"cgroup.memory=")]
    return {to_text(option) for value in options for option in value.split(b",")}


def _unsupported(hostfs: HostFs, mounts: list[Mount]) -> KernelUnsupported:
    what = "no memory cgroup can be seen"
    controllers = hostfs.read_lines("/proc/cgroups", 1 << 16) or []
    fields = [line.split() for line in controllers if line.startswith(b"memory\t")]
    if fields and fields[0][-1] == b"0":
        return KernelUnsupported(
            what,
            why="the kernel was booted with the memory controller disabled (/proc/cgroups)",
            todo="boot with cgroup_enable=memory on the kernel's command line",
        )
    if hostfs.absence("/proc/self/mountinfo") is not None:
        return KernelUnsupported(
            what,
            why=f"{to_text(hostfs.real('/proc/self/mountinfo'))} cannot be read",
            todo="mount /proc, or give --root the directory below which the host's /proc and /sys are",
        )
    unified = next((mount for mount in mounts if mount.fstype == "cgroup2"), None)
    if unified is not None:
        names = to_text(b" ".join(_controllers(hostfs, unified.point))) or "none"
        return KernelUnsupported(
            what,
            why=f"the cgroups at {unified.point} lack the memory controller (they have: {names})",
            todo="enable it in the cgroup.subtree_control of the cgroup above",
        )
    return KernelUnsupported(
        what,
        why="no cgroup file system with the memory controller is mounted here",
        todo="mount the host's /sys/fs/cgroup into this container, or run on the host",
    )
