"""One look at a target: all that was observed, nothing that was concluded."""

from __future__ import annotations

from dataclasses import dataclass

from kmemscope.model.census import Census
from kmemscope.model.node import Cgroup, Host, Level, Limitation, Process


@dataclass(frozen=True, slots=True)
class Charged:
    """The kernel's own number for a cgroup's kernel memory, read before and after the census."""

    before_bytes: int
    after_bytes: int


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that one look at the machine gave."""

    time: float
    """Seconds since the epoch."""
    host: Host
    level: Level
    limitations: tuple[Limitation, ...]
    """Why the level is not `exact`, or what else is missing."""
    target: str | None
    """Path of the target cgroup; None when the whole node was looked at."""
    cgroups: tuple[Cgroup, ...]
    """The target, its ancestors and its descendants; for the whole node, every cgroup."""
    census: Census | None
    charged: Charged | None
    processes: tuple[Process, ...] = ()
    processes_left_out: int = 0
    """Processes of the target that were not looked at, because there are too many."""
    seconds: float = 0.0
    """How long the look took."""
