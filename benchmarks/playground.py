"""Memory cgroups and processes made for a measurement, all gone afterwards, also after Ctrl-C.

On version 1 they hang below the cgroup of the benchmark itself, on version 2 below the root, because there a cgroup
with processes in it can have no children that are counted.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from kmemscope.observe.cgroups import MemoryHierarchy
from kmemscope.observe.hostfs import HostFs

REPOSITORY = Path(__file__).parents[1]
REMOVAL_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Playground:
    """One cgroup for all of them."""

    path: str
    """As the memory hierarchy names it: a target for `kmemscope why`."""
    directory: Path
    version: int

    @classmethod
    @contextmanager
    def made(cls) -> Iterator[Playground]:
        """Make it, and remove it with all that is in it."""
        hierarchy = MemoryHierarchy.find(HostFs())
        parent = (hierarchy.of_pid("self") or "/") if hierarchy.version == 1 else "/"
        path = f"{parent.rstrip('/')}/kmemscope-bench-{os.getpid()}"
        ground = cls(path, Path(hierarchy.mount + path), hierarchy.version)
        ground.directory.mkdir()
        try:
            ground.let_children_count(ground.directory)
            yield ground
        finally:
            remove(ground.directory)

    def let_children_count(self, directory: Path) -> None:
        """On version 2, a cgroup must say that those below it have the memory controller."""
        if self.version == 2:
            (directory / "cgroup.subtree_control").write_text("+memory")

    @contextmanager
    def cgroup(self, name: str) -> Iterator[Path]:
        """Make one cgroup."""
        directory = self.directory / name
        directory.mkdir()
        try:
            yield directory
        finally:
            remove(directory)

    @contextmanager
    def cgroups(self, number: int) -> Iterator[None]:
        """Make many cgroups that pay for a little each, as containers do."""
        with self.cgroup("many") as top, ExitStack() as stack:
            self.let_children_count(top)
            directories = [top / f"c{each}" for each in range(number)]
            for directory in directories:
                directory.mkdir()
            stack.enter_context(holding(["visit", *map(str, directories)]))
            yield


@dataclass(slots=True)
class Holder:
    """A child process that makes memory when told, and holds it until its input is closed."""

    process: subprocess.Popen[str] = field(repr=False)

    def go(self) -> None:
        """Let it begin."""
        if self.process.stdin:
            self.process.stdin.write("go\n")
            self.process.stdin.flush()

    def wait_until(self, word: str) -> None:
        """Wait until it says a word. Raises RuntimeError when it ends instead."""
        said = self.process.stdout.readline().strip() if self.process.stdout else ""
        if said != word:
            raise RuntimeError(f"a process that should hold memory said {said!r} instead of {word}")

    def end(self) -> None:
        """End it; what it made dies with it."""
        self.process.kill()
        self.process.communicate()


def start(arguments: list[str]) -> Holder:
    """Start a process of benchmarks/holder.py; it waits for go()."""
    command = [sys.executable, "-m", "benchmarks.holder", *arguments]
    process = subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    return Holder(process)


@contextmanager
def holding(*commands: list[str]) -> Iterator[None]:
    """Run processes that make memory all at once, until the block ends."""
    with ExitStack() as stack:
        holders = []
        for command in commands:
            holders.append(start(command))
            stack.callback(holders[-1].end)
        for holder in holders:
            holder.wait_until("SET")
        for holder in holders:
            holder.go()
        for holder in holders:
            holder.wait_until("READY")
        yield


def remove(directory: Path) -> None:
    """Remove a cgroup and all below it. The processes in them were ended, but may take a moment to go."""
    deadline = time.monotonic() + REMOVAL_SECONDS
    while directory.exists():
        for path, _, _ in os.walk(directory, topdown=False):
            with suppress(OSError):
                Path(path).rmdir()
        if directory.exists():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{directory} could not be removed")
            time.sleep(0.02)
