"""runc without a runtime above it: any cgroup path; told by the states that runc keeps of what runs.

Does not know names other than the id that the user gave, which is any word.
"""

from __future__ import annotations

from kmemscope.observe.containers.naming import part, read_object, text
from kmemscope.observe.hostfs import HostFs

_STATES = "/run/runc"
_MOST_CONTAINERS = 4096


class Runc:
    """Reader of runc's states, for one look."""

    name = "runc"

    def __init__(self, hostfs: HostFs) -> None:
        self._hostfs = hostfs
        self._by_cgroup: dict[str, str] | None = None

    def at(self, path: str) -> tuple[str, str] | None:
        """Path and id of the runc container that a cgroup is in; None when there is none."""
        if self._by_cgroup is None:
            self._by_cgroup = self._read_states()
        if self._by_cgroup:
            while path not in {"/", ""}:
                for cgroup, container_id in self._by_cgroup.items():
                    # A state names the cgroup by its mount and path, of which the mount may be anywhere
                    if cgroup.endswith(path):
                        return path, container_id
                path = path.rpartition("/")[0]
        return None

    def _read_states(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for container_id in self._hostfs.names(_STATES, _MOST_CONTAINERS) or ():
            state = read_object(self._hostfs, f"{_STATES}/{container_id}/state.json")
            cgroup = text(part(state, "cgroup_paths"), "memory", "")  # "" is the unified hierarchy
            if cgroup:
                found[cgroup] = container_id
        return found
