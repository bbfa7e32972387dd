"""CRI-O: `crio-<id>.scope`; names in the annotations of the config.json that it keeps for every container.

Does not talk to its socket.
"""

from __future__ import annotations

from kmemscope.observe.containers.naming import Names, part, pod_of, read_object, text
from kmemscope.observe.hostfs import HostFs

_STORES = ("/run/containers/storage", "/var/lib/containers/storage")
_MOST_DRIVERS = 64


class Crio:
    """Reader of CRI-O's files, for one look."""

    name = "crio"
    prefixes: tuple[str, ...] = ("crio",)
    parents: tuple[str, ...] = ()

    def __init__(self, hostfs: HostFs) -> None:
        self._hostfs = hostfs
        self._directories: list[str] | None = None

    def names(self, container_id: str) -> Names | None:
        """What CRI-O calls a container; None when it does not know it, or another (podman) made it."""
        for directory in self._containers():
            config = read_object(self._hostfs, f"{directory}/{container_id}/userdata/config.json")
            notes = part(config, "annotations")
            name = text(notes, "io.kubernetes.container.name")
            if name is not None:
                return Names(
                    runtime=self.name,
                    name=name,
                    image=text(notes, "io.kubernetes.cri-o.ImageName", "io.kubernetes.cri-o.Image"),
                    pod=pod_of(
                        notes,
                        "io.kubernetes.pod.uid",
                        "io.kubernetes.pod.name",
                        "io.kubernetes.pod.namespace",
                    ),
                )
        return None

    def _containers(self) -> list[str]:
        if self._directories is None:
            self._directories = [
                f"{store}/{name}"
                for store in _STORES
                for name in self._hostfs.names(store, _MOST_DRIVERS) or ()
                if name.endswith("-containers")  # overlay-containers, vfs-containers: by storage driver
            ]
        return self._directories
