"""The machine and what stands on it: host, cgroups, containers, processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Level(StrEnum):
    """How exact an answer is; see docs/contract.md."""

    EXACT = "exact"
    COUNTERS = "counters"
    INSIDE = "inside"


@dataclass(frozen=True, slots=True)
class Limitation:
    """One thing that could not be had: what is missing, why, and the step that would give it."""

    what: str
    why: str
    todo: str = ""


@dataclass(frozen=True, slots=True)
class Host:
    """The kernel and the size of the machine."""

    kernel: str
    page_bytes: int
    cpus: int
    """Possible CPUs: the kernel's per-CPU memory and stocks exist for each of them."""
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Container:
    """What a container runtime calls a cgroup."""

    id: str
    runtime: str
    name: str | None = None
    image: str | None = None


@dataclass(frozen=True, slots=True)
class Pod:
    """The Kubernetes pod that a cgroup belongs to."""

    uid: str
    name: str | None = None
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Cgroup:
    """One memory cgroup as its files tell it. Bytes include the whole subtree; None means the file said nothing."""

    path: str
    """Below the mount of the memory hierarchy, `/` for its root."""
    id: int
    """Inode of the directory, equal to the kernfs id that the census reports."""
    version: int
    usage_bytes: int | None = None
    limit_bytes: int | None = None
    """The own limit, None when there is none."""
    kernel_bytes: int | None = None
    kernel_source: str | None = None
    sock_bytes: int | None = None
    stat: Mapping[str, int] = field(default_factory=dict)
    """Rows of memory.stat (cgroup v2, whole subtree); bytes for the kinds of kernel memory."""
    dying_descendants: int | None = None
    container: Container | None = None
    pod: Pod | None = None


@dataclass(frozen=True, slots=True)
class Process:
    """One process of the target."""

    pid: int
    comm: str
    threads: int
    fds: int | None
    page_table_bytes: int | None
    cgroup: str
