"""Docker: `docker-<id>.scope` or `/docker/<id>`; names in its own config.v2.json, which only root can read.

Does not talk to its socket.
"""

from __future__ import annotations

from kmemscope.observe.containers.naming import Names, part, pod_of, read_object, text
from kmemscope.observe.hostfs import HostFs

_ROOTS = ("/var/lib/docker", "/var/snap/docker/common/var-lib-docker")


class Docker:
    """Reader of Docker's files, for one look."""

    name = "docker"
    prefixes: tuple[str, ...] = ("docker",)
    parents: tuple[str, ...] = ("docker",)

    def __init__(self, hostfs: HostFs) -> None:
        self._hostfs = hostfs
        self._roots: tuple[str, ...] | None = None

    def names(self, container_id: str) -> Names | None:
        """What Docker calls a container; None when it does not know it or its files cannot be read."""
        for root in self._data_roots():
            config = read_object(self._hostfs, f"{root}/containers/{container_id}/config.v2.json")
            if config is not None:
                inner = part(config, "Config")
                labels = part(inner, "Labels")
                own = text(config, "Name")
                return Names(
                    runtime=self.name,
                    name=text(labels, "io.kubernetes.container.name") or (own and own.removeprefix("/")),
                    image=text(inner, "Image"),
                    pod=pod_of(
                        labels,
                        "io.kubernetes.pod.uid",
                        "io.kubernetes.pod.name",
                        "io.kubernetes.pod.namespace",
                    ),
                )
        return None

    def _data_roots(self) -> tuple[str, ...]:
        if self._roots is None:
            settings = read_object(self._hostfs, "/etc/docker/daemon.json") or {}
            own = text(settings, "data-root", "graph")
            self._roots = (own, *_ROOTS) if own and own.startswith("/") else _ROOTS
        return self._roots
