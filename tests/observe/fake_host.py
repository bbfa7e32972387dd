"""Builds trees that look like a host's /proc and /sys, below a temporary root."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from kmemscope.observe.cgroups import MemoryHierarchy
from kmemscope.observe.hostfs import HostFs

V1_MOUNT = "/sys/fs/cgroup/memory"
V2_MOUNT = "/sys/fs/cgroup"

V1_MOUNTINFO = (
    "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
    "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
    f"35 31 0:32 / {V1_MOUNT} rw,relatime shared:11 master:2 - cgroup cgroup rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
)
V2_MOUNTINFO = f"30 23 0:26 / {V2_MOUNT} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"

V1_FILES: Mapping[str, str] = {
    "cgroup.procs": "",
    "memory.usage_in_bytes": "1048576\n",
    "memory.limit_in_bytes": "9223372036854771712\n",
    "memory.kmem.usage_in_bytes": "65536\n",
    "memory.kmem.tcp.usage_in_bytes": "4096\n",
}
V2_FILES: Mapping[str, str] = {
    "cgroup.procs": "",
    "memory.current": "1048576\n",
    "memory.max": "max\n",
    "memory.stat": "anon 8192\nkernel 65536\nkernel_stack 16384\npagetables 8192\nsock 4096\nslab 32768\n",
    "cgroup.stat": "nr_descendants 3\nnr_dying_descendants 7\n",
}


class FakeHost:
    """A root with a memory hierarchy of one version; cgroups and processes are added to it."""

    def __init__(self, root: Path, version: int) -> None:
        self.root = root
        self.version = version
        self.mount = V1_MOUNT if version == 1 else V2_MOUNT
        self.write("/proc/self/mountinfo", V1_MOUNTINFO if version == 1 else V2_MOUNTINFO)
        if version == 1:
            self.write(f"{self.mount}/cgroup.sane_behavior", "0\n")
            self.cgroup("/")
        else:
            self.write(f"{self.mount}/cgroup.controllers", "cpuset cpu io memory hugetlb pids\n")
            root_files = {name: text for name, text in V2_FILES.items() if name not in {"memory.current", "memory.max"}}
            self.cgroup("/", root_files)

    @property
    def hostfs(self) -> HostFs:
        return HostFs(self.root)

    @property
    def hierarchy(self) -> MemoryHierarchy:
        return MemoryHierarchy.find(self.hostfs)

    def write(self, path: str, content: str | bytes) -> Path:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    def cgroup(self, path: str, files: Mapping[str, str] | None = None, *, without: str = "", **replaced: str) -> Path:
        """Make a cgroup; `replaced` gives other contents, with `_` for `.` where no file has a `_`."""
        contents = dict(files if files is not None else V1_FILES if self.version == 1 else V2_FILES)
        contents.update(replaced)
        contents.pop(without, None)
        directory = self.root / (self.mount + path).strip("/")
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            (directory / name).write_text(content)
        return directory

    def process(self, pid: int, cgroup: str, *, name: bytes = b"sleep", threads: int = 1) -> None:
        """Make a process and list it in its cgroup, which must exist."""
        line = f"4:memory:{cgroup}\n0::/\n" if self.version == 1 else f"0::{cgroup}\n"
        self.write(f"/proc/{pid}/cgroup", line)
        self.write(
            f"/proc/{pid}/status",
            b"Name:\t%s\nUmask:\t0022\nState:\tS (sleeping)\nVmPTE:\t      72 kB\nThreads:\t%d\n" % (name, threads),
        )
        (self.root / f"proc/{pid}/fd").mkdir()
        with (self.root / (self.mount + cgroup + "/cgroup.procs").lstrip("/")).open("a") as procs:
            procs.write(f"{pid}\n")


def add_directory(parent: Path, name: bytes) -> None:
    os.mkdir(os.fsencode(parent) + b"/" + name)
