"""Parses cgroup paths: which directory is a container's or a pod's own, by its name alone.

Knows the shapes that runtimes and the kubelet give to names, under both cgroup drivers. Does not read files,
and does not know which runtime a prefix means.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ID_DIGITS = 64
_HEXADECIMAL = frozenset("0123456789abcdef")

_POD = re.compile(
    r"(?:.*-)?pod(?P<uid>[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice(?::.*)?)?\Z",
    re.DOTALL,
)
"""The uid is a UUID, with `_` for `-` in a slice's name, or a static pod's hash (kubelet
cgroup_manager_linux.go, config/common.go)."""


@dataclass(frozen=True, slots=True)
class Place:
    """A container's own cgroup, by the name of its directory."""

    path: str
    id: str
    prefix: str | None
    """What stood before the id, such as `docker` or `cri-containerd`."""
    parent: str
    """Name of the directory above; empty at the top."""
    pod_uid: str | None


@dataclass(frozen=True, slots=True)
class Places:
    """What a path passes through, from the top."""

    containers: tuple[Place, ...]
    pod_uid: str | None
    """Of the outermost pod."""


_NOTHING = Places((), None)


def places_in(path: str) -> Places:
    """Find the containers and the pod that a path is in or below; outermost first."""
    parts = path.split("/")[1:]
    containers: list[Place] = []
    outermost: str | None = None
    pod: str | None = None
    orchestrated = False
    for index, part in enumerate(parts):
        orchestrated = orchestrated or "kubepods" in part
        uid = _POD.match(part) if orchestrated and "pod" in part else None
        if uid:
            pod = uid["uid"].replace("_", "-")
            outermost = outermost or pod
        shape = _container_in(part) if len(part) >= _ID_DIGITS else None
        if shape:
            prefix, container_id = shape
            own = "/" + "/".join(parts[: index + 1])
            containers.append(Place(own, container_id, prefix, parts[index - 1] if index else "", pod))
    return Places(tuple(containers), outermost) if containers or outermost else _NOTHING


def _container_in(directory: str) -> tuple[str | None, str] | None:
    """Prefix and id in a directory's name; None when it is not a container's.

    `<id>`, `docker-<id>.scope`, `libpod-<id>`, and `slice:cri-containerd:<id>`, which containerd makes
    when the kubelet has the systemd driver and containerd has not.
    """
    name = directory.removesuffix(".scope")
    before, container_id = name[:-_ID_DIGITS], name[-_ID_DIGITS:]
    if len(container_id) < _ID_DIGITS or not _HEXADECIMAL.issuperset(container_id):
        return None
    if not before:
        return None, container_id
    prefix = before[:-1].rpartition(":")[2]
    # conmon watches over one container from a cgroup beside it, with the container's id in its name
    if before[-1] not in "-:" or not prefix or prefix.endswith("conmon"):
        return None
    return prefix, container_id
