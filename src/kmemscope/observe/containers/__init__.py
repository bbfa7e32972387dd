"""Says which container and pod a cgroup belongs to, by its path and plain files; no socket, no API.

Knows the runtimes (one file each) and whom to ask first. A name is asked for only where the path, or a state
that runc or containerd keeps, speaks of a container. Does not find cgroups.

A container that may make cgroups can give them the names of other containers. So the outermost container that
a runtime of this host knows wins, and what is nested in it is its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from kmemscope.model.node import Container, Pod
from kmemscope.observe.containers.containerd import Containerd
from kmemscope.observe.containers.crio import Crio
from kmemscope.observe.containers.docker import Docker
from kmemscope.observe.containers.naming import Names
from kmemscope.observe.containers.paths import Place, places_in
from kmemscope.observe.containers.pod_logs import PodLogs
from kmemscope.observe.containers.podman import Podman
from kmemscope.observe.containers.runc import Runc
from kmemscope.observe.hostfs import HostFs

UNKNOWN = "unknown"
"""Runtime of a container whose path shows an id and nothing else, and whose files cannot be read."""


class Runtime(Protocol):
    """What a container runtime's file has to offer; it is made once for each look and may keep what it
    read."""

    name: str
    prefixes: tuple[str, ...]
    """Words before the id in the name of a container's cgroup."""
    parents: tuple[str, ...]
    """Directories in which a bare id is a container of this runtime."""

    def names(self, container_id: str) -> Names | None:
        """What the runtime's files call a container; None when they do not know it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose a cgroup is."""

    container: Container | None = None
    pod: Pod | None = None
    path: str | None = None
    """The container's own cgroup: the one asked for, or one above it; None without a container."""


class Containers:
    """Identifies cgroups; what it reads it keeps, so make a new one for each look at the machine."""

    def __init__(self, hostfs: HostFs) -> None:
        self._containerd = Containerd(hostfs)
        self._runtimes: tuple[Runtime, ...] = (
            self._containerd,
            Docker(hostfs),
            Crio(hostfs),
            Podman(hostfs),
        )
        self._runc = Runc(hostfs)
        self._logs = PodLogs(hostfs)
        self._by_prefix = {prefix: each for each in self._runtimes for prefix in each.prefixes}
        self._by_parent = {parent: each for each in self._runtimes for parent in each.parents}
        self._names: dict[str, Names | None] = {}

    def identity(self, path: str) -> Identity:
        """Say whose a cgroup is; all fields None when it is nobody's. `path` is below the memory hierarchy's
        mount."""
        places = places_in(path)
        for place in places.containers:
            names = self._names_of(place)
            if names is not None:
                return self._identity(place, names)
        # podman keeps runc's states where runc alone does, so a path that tells the runtime comes first
        told = places.containers and self._runtime_of(places.containers[-1])
        return (not told and self._told_by_state(path)) or self._unnamed(places.containers, places.pod_uid)

    def identify(self, path: str) -> tuple[Container | None, Pod | None]:
        """Container and pod of a cgroup, or of the one that it is nested in."""
        found = self.identity(path)
        return found.container, found.pod

    def _names_of(self, place: Place) -> Names | None:
        if place.id not in self._names:
            own = self._runtime_of(place)
            asked = (own,) if own else self._runtimes
            self._names[place.id] = next((n for each in asked if (n := each.names(place.id))), None)
        return self._names[place.id]

    def _runtime_of(self, place: Place) -> Runtime | None:
        return self._by_prefix.get(place.prefix) if place.prefix else self._by_parent.get(place.parent)

    def _identity(self, place: Place, names: Names) -> Identity:
        pod = self._pod(names.pod.uid if names.pod else place.pod_uid, names.pod)
        name = names.name or self._logs.container(place.id)
        return Identity(Container(place.id, names.runtime, name, names.image), pod, place.path)

    def _told_by_state(self, path: str) -> Identity | None:
        for runtime, found in (
            (Runc.name, self._runc.at(path)),
            (Containerd.name, self._containerd.at(path)),
        ):
            if found is not None:
                own, container_id = found
                return Identity(Container(container_id, runtime, container_id), None, own)
        return None

    def _unnamed(self, containers: tuple[Place, ...], pod_uid: str | None) -> Identity:
        if not containers:
            return Identity(pod=self._pod(pod_uid, None))
        place = containers[-1]
        runtime = self._runtime_of(place)
        return self._identity(place, Names(runtime.name if runtime else place.prefix or UNKNOWN))

    def _pod(self, uid: str | None, told: Pod | None) -> Pod | None:
        if uid is None or (told and told.name):
            return told
        return self._logs.pod(uid) or told or Pod(uid)


def identify(hostfs: HostFs, path: str) -> tuple[Container | None, Pod | None]:
    """Container and pod of one cgroup, by its path and plain files; for many cgroups make one
    `Containers`."""
    return Containers(hostfs).identify(path)
