"""containerd, with Kubernetes (`cri-containerd-<id>.scope`), nerdctl or ctr; names in its bundles'
config.json.

Does not talk to its socket. Docker's own containers are in containerd's namespace `moby`, without a name.
"""

from __future__ import annotations

from collections.abc import Mapping

from kmemscope.observe.containers.naming import Names, part, pod_of, read_object, text
from kmemscope.observe.hostfs import HostFs

_STATES = (
    "/run/containerd",
    "/run/k3s/containerd",  # k3s and RKE2
    "/run/k0s/containerd",
    "/var/snap/microk8s/common/run/containerd",
)
_TASKS = ("io.containerd.runtime.v2.task", "io.containerd.runtime.v1.linux")
_DOCKERS = "moby"
_MOST_NAMESPACES = 64


class Containerd:
    """Reader of containerd's bundles, for one look."""

    name = "containerd"
    prefixes: tuple[str, ...] = ("cri-containerd", "nerdctl")
    parents: tuple[str, ...] = ("k8s.io", "default")

    def __init__(self, hostfs: HostFs) -> None:
        self._hostfs = hostfs
        self._found: dict[str, list[str]] | None = None

    def names(self, container_id: str) -> Names | None:
        """What containerd's clients call a container; None when no bundle of it can be read."""
        for namespace, directories in self._bundles().items():
            for directory in directories if namespace != _DOCKERS else ():
                config = read_object(self._hostfs, f"{directory}/{container_id}/config.json")
                if config is not None:
                    return self._names_in(config)
        return None

    def at(self, path: str) -> tuple[str, str] | None:
        """Path and id of the container made by ctr that a cgroup is in, where the id may be any word.

        Such a cgroup is `/NAMESPACE/ID`; its bundle must agree. None when there is none.
        """
        top, _, rest = path[1:].partition("/")
        container_id = rest.partition("/")[0]
        if not container_id or container_id in {".", ".."}:
            return None
        for directory in self._bundles().get(top, ()):
            config = read_object(self._hostfs, f"{directory}/{container_id}/config.json")
            own = f"/{top}/{container_id}"
            if text(part(config, "linux"), "cgroupsPath") == own:
                return own, container_id
        return None

    def _names_in(self, config: Mapping[str, object]) -> Names:
        notes = part(config, "annotations")
        sandbox = text(notes, "io.kubernetes.cri.container-type") == "sandbox"
        return Names(
            runtime=self.name,
            # The kubelet and the other runtimes call the container that holds a pod's namespaces POD
            name="POD" if sandbox else text(notes, "io.kubernetes.cri.container-name", "nerdctl/name"),
            image=text(notes, "io.kubernetes.cri.image-name"),
            pod=pod_of(
                notes,
                "io.kubernetes.cri.sandbox-uid",
                "io.kubernetes.cri.sandbox-name",
                "io.kubernetes.cri.sandbox-namespace",
            ),
        )

    def _bundles(self) -> dict[str, list[str]]:
        """Directories of bundles by containerd's namespace."""
        if self._found is None:
            self._found = {}
            for state in _STATES:
                for task in _TASKS:
                    for namespace in self._hostfs.names(f"{state}/{task}", _MOST_NAMESPACES) or ():
                        self._found.setdefault(namespace, []).append(f"{state}/{task}/{namespace}")
        return self._found
