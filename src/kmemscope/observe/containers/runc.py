"""runc without a runtime above it: any cgroup path; told by the states that runc keeps of what runs.

Does not know names other than the id that the user gave, which is any word.
"""

from __future__ import annotations

from kmemscope.observe.containers.naming import part, read_object, text
from kmemscope.observe.hostfs import HostFs
from kmemscope.observe.mounts import cgroup_mounts

_STATES = "/run/runc"
_MOST_CONTAINERS = 4096


class Runc:
    """Reader of runc's states, for one look."""

    name = "runc"

    def __init__(self, hostfs: HostFs) -> None:
        self._hostfs = hostfs
        self._by_cgroup: dict[str, str] | None = None
        self._mounts: list[str] | None = None

    def at(self, path: str) -> tuple[str, str] | None:
        """Path and id of the runc container that a cgroup is in; None when there is none."""
        if self._by_cgroup is None:
            self._by_cgroup = self._read_states()
        while self._by_cgroup and path not in {"/", ""}:
            if path in self._by_cgroup:
                return path, self._by_cgroup[path]
            path = path.rpartition("/")[0]
        return None

    def _read_states(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for container_id in self._hostfs.names(_STATES, _MOST_CONTAINERS) or ():
            state = read_object(self._hostfs, f"{_STATES}/{container_id}/state.json")
            cgroup = text(part(state, "cgroup_paths"), "memory", "")  # "" is the unified hierarchy
            if cgroup:
                found.update((path, container_id) for path in self._below_mounts(cgroup))
        return found

    def _below_mounts(self, cgroup: str) -> list[str]:
        """Paths that a cgroup has which a state names with the mount before it."""
        if self._mounts is None:
            self._mounts = [mount.point + "/" for mount in cgroup_mounts(self._hostfs)]
        return [cgroup[len(point) - 1 :] for point in self._mounts if cgroup.startswith(point)]
