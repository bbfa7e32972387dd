"""What is said about one target. The JSON of `why` has these fields and names (docs/contract.md)."""

from __future__ import annotations

from dataclasses import dataclass

from kmemscope.model.kinds import Kind, Reclaimable
from kmemscope.model.node import Cgroup, Host, Level, Limitation, Process


@dataclass(frozen=True, slots=True)
class KindRow:
    """Bytes of one kind."""

    kind: Kind
    label: str
    meaning: str
    bytes: int
    objects: int | None
    reclaimable: Reclaimable
    witness_bytes: int | None = None
    """The kernel's own counter for this kind, where it keeps one."""


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """Objects of one type."""

    type: str
    meaning: str | None
    """What one such object stands for, where its name alone says it."""
    cache: str | None
    aliases: tuple[str, ...]
    kind: Kind
    objects: int
    bytes: int
    certainty: str
    """`certain`: only this type lives in the cache; `merged`: the cache holds any of the aliases."""


@dataclass(frozen=True, slots=True)
class ResidualPart:
    """One thing that can make up a part of the residual, and the most it can be."""

    why: str
    at_most_bytes: int


@dataclass(frozen=True, slots=True)
class GoneCgroup:
    """A cgroup that still pays, but has no directory any more."""

    cgroup_id: int
    name: str
    bytes: int
    online: bool


@dataclass(frozen=True, slots=True)
class Account:
    """Bytes charged = named + residual."""

    charged_bytes: int
    named_bytes: int
    residual_bytes: int
    residual: tuple[ResidualPart, ...]
    kinds: tuple[KindRow, ...]
    objects: tuple[ObjectRow, ...]
    gone: tuple[GoneCgroup, ...]

    @property
    def coverage(self) -> float:
        """Share of the charged bytes that has a name, 0 to 1 and, where counters lag, slightly above."""
        return self.named_bytes / self.charged_bytes if self.charged_bytes else 1.0

    @property
    def explained(self) -> bool:
        """Whether the residual is within what its named parts can add up to."""
        return abs(self.residual_bytes) <= sum(part.at_most_bytes for part in self.residual)


@dataclass(frozen=True, slots=True)
class EffectiveLimit:
    """The tightest limit on the way from the cgroup to the root."""

    bytes: int
    cgroup: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The whole answer about one target."""

    level: Level
    limitations: tuple[Limitation, ...]
    time: float
    host: Host
    target: Cgroup
    limit: EffectiveLimit | None
    headline: str
    """The answer in one or two sentences."""
    account: Account | None
    no_account: str | None
    """Why there is no account, a sentence; None when there is one."""
    processes: tuple[Process, ...]
    processes_left_out: int
    notes: tuple[str, ...]
    seconds: float
    census_seconds: float | None
    census_pages: int | None


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One line of the node table."""

    cgroup: Cgroup
    is_container: bool
    """This is a container's own cgroup, not one inside of it."""
    kernel_bytes: int | None
    named_bytes: int | None
    limit: EffectiveLimit | None
    largest_kind: Kind | None
    largest_label: str | None
    largest_bytes: int | None

    @property
    def share_of_limit(self) -> float | None:
        """Kernel bytes as a part of the effective limit."""
        if self.kernel_bytes is None or self.limit is None or not self.limit.bytes:
            return None
        return self.kernel_bytes / self.limit.bytes


@dataclass(frozen=True, slots=True)
class NodeView:
    """Kernel memory of every cgroup of the node."""

    level: Level
    limitations: tuple[Limitation, ...]
    time: float
    host: Host
    rows: tuple[NodeRow, ...]
    gone: tuple[GoneCgroup, ...]
    seconds: float
