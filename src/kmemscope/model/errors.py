"""Every failure that a user can meet. Only the command line prints them and turns them into an exit status.

KmemscopeError            1  a fault of ours, or anything not named below
├── UsageError            2  the command line is wrong
├── TargetNotFound        3  the target is unknown, ambiguous or gone
├── LevelNotMet           4  the level that --require names is not to be had
├── NotPermitted          1  the rights of this process do not suffice
├── KernelUnsupported     1  this kernel lacks what the answer needs
├── Damaged               1  a file is truncated, foreign or not readable
└── OutputFailed          1  the answer could not be written
"""

from __future__ import annotations


class KmemscopeError(Exception):
    """Something went wrong, and the message says what, why and what to do about it."""

    exit_status = 1

    def __init__(self, what: str, *, why: str = "", todo: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.todo = todo


class UsageError(KmemscopeError):
    """The words of the command line are wrong."""

    exit_status = 2


class TargetNotFound(KmemscopeError):
    """No such target, more than one, or it went away while it was looked at."""

    exit_status = 3


class LevelNotMet(KmemscopeError):
    """The answer would be below the level that was required."""

    exit_status = 4


class NotPermitted(KmemscopeError):
    """The rights of this process do not suffice."""


class KernelUnsupported(KmemscopeError):
    """This kernel lacks what the answer needs."""


class Damaged(KmemscopeError):
    """A file is not what it should be."""


class OutputFailed(KmemscopeError):
    """The answer could not be written where it was asked for."""
