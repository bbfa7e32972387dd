"""What a node and the rights of this process allow."""

from __future__ import annotations

from dataclasses import dataclass

from kmemscope.model.node import Host, Level, Limitation


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried."""

    name: str
    good: bool
    found: str
    """What was found, or why it failed."""
    costs: str = ""
    """What is lost without it."""
    todo: str = ""
    """How to get it."""


@dataclass(frozen=True, slots=True)
class Checkup:
    """Everything that was tried, and the level that it adds up to."""

    level: Level
    host: Host
    checks: tuple[Check, ...]

    @property
    def limitations(self) -> tuple[Limitation, ...]:
        """What failed, in the order it was tried."""
        return tuple(Limitation(each.name, each.found, each.todo) for each in self.checks if not each.good)
