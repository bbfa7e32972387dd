"""Names in the directories of container logs, which the kubelet makes and most users may list.

Knows `/var/log/pods/<namespace>_<pod>_<uid>` and `/var/log/containers/<pod>_<namespace>_<container>-<id>.log`
(kubelet kuberuntime/helpers.go, legacy.go). Does not open or follow anything in them.
"""

from __future__ import annotations

from kmemscope.model.node import Pod
from kmemscope.observe.hostfs import HostFs

_MOST_NAMES = 20_000
_ID_DIGITS = 64


class PodLogs:
    """Reader of the names of log directories, for one look."""

    def __init__(self, hostfs: HostFs) -> None:
        self._hostfs = hostfs
        self._pods: dict[str, Pod] | None = None
        self._containers: dict[str, str] | None = None

    def pod(self, uid: str) -> Pod | None:
        """Pod of a uid; None when it has no log directory."""
        if self._pods is None:
            self._pods = {}
            for entry in self._hostfs.names("/var/log/pods", _MOST_NAMES) or ():
                words = entry.split("_")
                if len(words) == 3 and all(words):  # no name in Kubernetes has a `_`
                    self._pods[words[2]] = Pod(uid=words[2], name=words[1], namespace=words[0])
        return self._pods.get(uid)

    def container(self, container_id: str) -> str | None:
        """Name of a container; None when it has no log file."""
        if self._containers is None:
            self._containers = {}
            for entry in self._hostfs.names("/var/log/containers", _MOST_NAMES) or ():
                name, _, found = entry.removesuffix(".log").rpartition("_")[2].rpartition("-")
                if name and len(found) == _ID_DIGITS:
                    self._containers[found] = name
        return self._containers.get(container_id)
