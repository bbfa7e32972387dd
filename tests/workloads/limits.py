"""Resource limits that stand in the way of making many of something; a privileged process may raise them."""

from __future__ import annotations

import resource
from pathlib import Path

from tests.workloads.workload import UnavailableError


def allow(limit: int, at_least: int, what: str) -> None:
    """Raise a soft limit, and the hard one where needed, so that `at_least` units fit."""
    soft, hard = resource.getrlimit(limit)
    if soft == resource.RLIM_INFINITY or soft >= at_least:
        return
    try:
        resource.setrlimit(limit, (at_least, hard if hard == resource.RLIM_INFINITY else max(hard, at_least)))
    except (ValueError, OSError):
        raise UnavailableError(f"a limit of {at_least} {what}, but it is {soft} and may not be raised") from None


def allow_descriptors(number: int) -> None:
    """Let this process open `number` descriptors beside its own."""
    allow(resource.RLIMIT_NOFILE, number + 64, "open files")


def allow_signals(number: int) -> None:
    """Let `number` signals be queued or timers be armed."""
    allow(resource.RLIMIT_SIGPENDING, number + 1024, "pending signals")


def within(path: str, wanted: int) -> int:
    """As many of `wanted` as the kernel's setting at `path` allows; one that is not there allows all."""
    try:
        return min(wanted, int(Path(path).read_text()))
    except OSError:
        return wanted
