"""One look at this machine, assembled: decides what can be had, reads it in a sound order, says what is missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from kmemscope.model.census import Census
from kmemscope.model.errors import KmemscopeError, TargetNotFound
from kmemscope.model.hierarchy import ancestors, paths_by_id, within
from kmemscope.model.node import Cgroup, Host, Level, Limitation
from kmemscope.model.observation import Charged, Observation
from kmemscope.observe.census import CensusTaker
from kmemscope.observe.cgroups import MemoryHierarchy
from kmemscope.observe.containers import Containers
from kmemscope.observe.host import read_host
from kmemscope.observe.hostfs import HostFs
from kmemscope.observe.processes import processes_of
from kmemscope.observe.targets import resolve

MOST_PROCESSES = 10_000
OWN_NOTE = "kmemscope runs in this cgroup: its own BPF programs and maps are part of the answer"

OTHER_PIDS = Limitation(
    "processes", "/proc has the pids of another pid namespace than ours", "share the host's (hostPID: true, --pid=host)"
)


class Machine:
    """A machine to look at, any number of times. The census programs are loaded once."""

    def __init__(
        self,
        hostfs: HostFs,
        hierarchy: MemoryHierarchy,
        host: Host,
        taker: CensusTaker | None,
        limitations: tuple[Limitation, ...],
    ) -> None:
        self.hierarchy = hierarchy
        self.host = host
        self.limitations = limitations
        self._hostfs = hostfs
        self._taker = taker

    @classmethod
    def open(cls, root: Path) -> Self:
        """Find out what this machine allows. What is missing lowers the level and is kept as a limitation.

        Raises KernelUnsupported when there is no memory cgroup at all.
        """
        hostfs = HostFs(root)
        hierarchy = MemoryHierarchy.find(hostfs)
        taker: CensusTaker | None = None
        limitations: tuple[Limitation, ...] = () if hostfs.same_pids else (OTHER_PIDS,)
        try:
            taker = CensusTaker.open(cgroup_count(hostfs))
        except KmemscopeError as error:
            limitations = (Limitation(error.what, error.why, error.todo), *limitations)
        return cls(hostfs, hierarchy, read_host(hostfs), taker, limitations)

    def close(self) -> None:
        """Unload the census programs."""
        if self._taker:
            self._taker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def level(self) -> Level:
        """What answers from this machine can be."""
        if self._taker:
            return Level.EXACT
        return Level.INSIDE if self.hierarchy.namespaced else Level.COUNTERS

    def look(self) -> Observation:
        """Look at every cgroup. Raises what look_at() raises, but for the target."""
        started, now = time.perf_counter(), time.time()
        cgroups = self._read((path for path, _ in self.hierarchy.walk()), Containers(self._hostfs))
        census, limitations = self._census()
        if census and self.hierarchy.namespaced:
            census = visible(census, cgroups)
        return Observation(
            time=now,
            host=self.host,
            level=self.level if census or not self._taker else Level.COUNTERS,
            limitations=self.limitations + limitations,
            target=None,
            cgroups=cgroups,
            census=census,
            charged=None,
            seconds=time.perf_counter() - started,
        )

    def look_at(self, target: str) -> Observation:
        """Look at one target: its cgroup, those above and below it, its processes, and who pays for what.

        Raises TargetNotFound when there is no such target or it goes away meanwhile, UsageError for words that are
        no target.
        """
        started, now = time.perf_counter(), time.time()
        containers = Containers(self._hostfs)  # for this look only: it remembers what it read
        path = resolve(self._hostfs, self.hierarchy, target, containers)
        # Directories first: what is removed during the census then still has its name.
        below = (each for each, _ in self.hierarchy.walk(path))
        cgroups = self._read([*below, *self.hierarchy.ancestors(path)], containers)
        first = self.hierarchy.read(path)
        readings: list[int | None] = []

        def witness() -> None:
            cgroup = self.hierarchy.read(path)
            readings.append(cgroup.kernel_bytes if cgroup else None)

        census, limitations = self._census(witness)
        after = self.hierarchy.read(path)
        if first is None or after is None or after.id != first.id:
            raise TargetNotFound(f"{target} went away while it was looked at", todo="look at the cgroup above it")
        processes, left_out = processes_of(self._hostfs, self.hierarchy, path, limit=MOST_PROCESSES)
        charged = None
        if len(readings) >= 2 and readings[-2] is not None and readings[-1] is not None:
            charged = Charged(readings[-2], readings[-1])
        own = self.hierarchy.of_pid("self")
        if census and own and within(own, path):
            census = replace(census, notes=(*census.notes, OWN_NOTE))
        return Observation(
            time=now,
            host=self.host,
            level=self.level if census or not self._taker else Level.COUNTERS,
            limitations=self.limitations + limitations,
            target=path,
            cgroups=tuple(named(after, containers) if each.path == path else each for each in cgroups),
            census=about(visible(census, cgroups) if self.hierarchy.namespaced else census, cgroups, path)
            if census
            else None,
            charged=charged,
            processes=processes,
            processes_left_out=left_out,
            seconds=time.perf_counter() - started,
        )

    def _census(self, witness: Callable[[], None] = lambda: None) -> tuple[Census | None, tuple[Limitation, ...]]:
        """Take the census; a kernel that refuses costs the census, not the answer."""
        if not self._taker:
            return None, ()
        try:
            return self._taker.take(witness), ()
        except KmemscopeError as error:
            return None, (Limitation(error.what, error.why, error.todo),)

    def _read(self, paths: Iterable[str], containers: Containers) -> tuple[Cgroup, ...]:
        found = (self.hierarchy.read(path) for path in paths)
        return tuple(named(cgroup, containers) for cgroup in found if cgroup)


def named(cgroup: Cgroup, containers: Containers) -> Cgroup:
    """Add what a runtime calls a cgroup."""
    container, pod = containers.identify(cgroup.path)
    return replace(cgroup, container=container, pod=pod)


def visible(census: Census, cgroups: tuple[Cgroup, ...]) -> Census:
    """Leave out payers that are not below any of these cgroups: in a container the host's others have no path."""
    known = {cgroup.id for cgroup in cgroups}
    owners = {owner.cgroup_id: owner for owner in census.owners}

    def is_below(cgroup_id: int | None) -> bool:
        seen = set()
        while cgroup_id and cgroup_id not in known and cgroup_id not in seen:
            seen.add(cgroup_id)
            owner = owners.get(cgroup_id)
            cgroup_id = owner.parent_id if owner else None
        return cgroup_id in known

    ours = {cgroup_id for cgroup_id in owners if is_below(cgroup_id)}
    return replace(
        census,
        charges=tuple(charge for charge in census.charges if charge.cgroup_id in ours),
        owners=tuple(owner for owner in census.owners if owner.cgroup_id in ours),
    )


def about(census: Census, cgroups: tuple[Cgroup, ...], target: str) -> Census:
    """Keep of a census what concerns one target: others' memory is none of its business."""
    paths = paths_by_id(cgroups, census)
    ids = {cgroup_id for cgroup_id, path in paths.items() if within(path, target)}
    above = {cgroup_id for cgroup_id, path in paths.items() if path in set(ancestors(target))}
    charges = tuple(charge for charge in census.charges if charge.cgroup_id in ids)
    used = {charge.cache for charge in charges}
    return replace(
        census,
        charges=charges,
        caches=tuple(cache for cache in census.caches if cache.name in used),
        owners=tuple(owner for owner in census.owners if owner.cgroup_id in ids | above),
    )


def cgroup_count(hostfs: HostFs) -> int:
    """How many memory cgroups the kernel has, those included that were removed and still pay; 0 when not known."""
    for line in (hostfs.read("/proc/cgroups", 1 << 16) or b"").splitlines():
        words = line.split()
        if len(words) >= 3 and words[0] == b"memory" and words[2].isdigit():
            return min(int(words[2]), 1 << 17)
    return 0
