"""Memory cgroups made for tests, and nothing else: one subtree for a run, a child for each test.

On version 1 the subtree hangs below the cgroup of the test run, on version 2 below the root, because there a
cgroup with processes in it can have no children that are counted.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.hierarchy import Hierarchy

REMOVAL_SECONDS = 20.0
STAT_LAG_SECONDS = 2.2
"""The kernel brings memory.stat up to date every two seconds."""
QUIET_SECONDS = 0.15
"""Several RCU grace periods."""
SETTLING_SECONDS = 10.0
POLL_SECONDS = 0.03


@dataclass(frozen=True, slots=True)
class TestCgroup:
    """A cgroup that this test run made."""

    __test__ = False

    path: Path
    version: int

    @property
    def id(self) -> int:
        """The number by which the census knows it."""
        return self.path.stat().st_ino

    def subtree(self) -> list[TestCgroup]:
        """This cgroup and all below it, parents first."""
        below = sorted(each for each in self.path.rglob("*") if each.is_dir())
        return [self, *(TestCgroup(each, self.version) for each in below)]

    def processes(self) -> list[int]:
        """Processes in this cgroup itself."""
        try:
            return [int(word) for word in (self.path / "cgroup.procs").read_text().split()]
        except OSError:
            return []

    def receive(self, pid: int) -> None:
        """Move a process here."""
        (self.path / "cgroup.procs").write_text(str(pid))

    def kernel_bytes(self) -> int:
        """The kernel's own number for this cgroup and all below it; on version 2 up to two seconds old."""
        if self.version == 1:
            return int((self.path / "memory.kmem.usage_in_bytes").read_text())
        return self.rows()["kernel"]

    def dying(self) -> int:
        """Removed cgroups below this one that the kernel still has; on version 1 it does not say."""
        if self.version == 1:
            return 0
        lines = (self.path / "cgroup.stat").read_text().splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith("nr_dying_descendants ")), 0)

    def rows(self) -> dict[str, int]:
        """Rows of memory.stat by name; none in version 1, which tells nothing of kernel memory there."""
        if self.version == 1:
            return {}
        lines = (self.path / "memory.stat").read_text().splitlines()
        return {name: int(value) for name, value in (line.split() for line in lines)}

    def remove(self) -> None:
        """Kill what lives here, wait until it is gone, and remove the subtree."""
        deadline = time.monotonic() + REMOVAL_SECONDS
        while self.path.exists():
            for each in reversed(self.subtree()):
                for pid in each.processes():
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                with suppress(OSError):
                    each.path.rmdir()
            if self.path.exists():
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{self.path} could not be removed; processes: {self.processes()}")
                time.sleep(0.01)


@contextmanager
def run_subtree(hierarchy: Hierarchy) -> Iterator[TestCgroup]:
    """The one cgroup that all cgroups of this test run are below."""
    parent = hierarchy.directory_of() if hierarchy.version == 1 else hierarchy.mount
    top = TestCgroup(parent / f"kmemscope-test-{os.getpid()}", hierarchy.version)
    top.path.mkdir()
    try:
        yield top
    finally:
        top.remove()


@contextmanager
def child(parent: TestCgroup, name: str) -> Iterator[TestCgroup]:
    """A cgroup below another, gone with its processes afterwards; in version 2 the parent has none itself."""
    if parent.version == 2:
        (parent.path / "cgroup.subtree_control").write_text("+memory")
    cgroup = TestCgroup(parent.path / name, parent.version)
    cgroup.path.mkdir()
    try:
        yield cgroup
    finally:
        cgroup.remove()


def settled_kernel_bytes(cgroup: TestCgroup) -> int:
    """The kernel's number once it has caught up with what was made, and what was freed, before this call.

    The statistics of version 2 lag; on both versions some memory goes only after an RCU grace period.
    """
    if cgroup.version == 2:
        time.sleep(STAT_LAG_SECONDS)
    deadline = time.monotonic() + SETTLING_SECONDS
    last, since = cgroup.kernel_bytes(), time.monotonic()
    while time.monotonic() < min(deadline, since + QUIET_SECONDS):
        time.sleep(POLL_SECONDS)
        latest = cgroup.kernel_bytes()
        if latest != last:
            last, since = latest, time.monotonic()
    return last
