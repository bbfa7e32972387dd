"""Reads what a guest wrote on its serial console: how far it came, what pytest counted, what was covered.

The text may be anything: cut off anywhere, with kernel messages between two lines of the tests. Nothing
here fails on it; what cannot be read is counted as damaged.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

_MARK = re.compile(r"^KMEMSCOPE-GUEST (?P<step>[a-z]+)(?P<details>(?: [^\n]*)?)$", re.MULTILINE)
_DETAIL = re.compile(r"(?P<name>[a-z]+)=(?P<value>\S*)")
_STATUS = re.compile(r"^GUEST-RC=(?P<status>[0-9]{1,3})$", re.MULTILINE)
_OUTCOME = r"[0-9]+ (?:passed|failed|errors?|skipped|xfailed|xpassed|deselected|warnings?|subtests passed)"
_SUMMARY = re.compile(rf"^(?:=+ )?(?P<counts>{_OUTCOME}(?:, {_OUTCOME})*) in [0-9.]+s", re.MULTILINE)
# What guest_init counts as complaints, and what a kernel says when it gives up.
_COMPLAINT = re.compile(
    r"^\[ *[0-9.]+\] .*(?:BUG:|WARNING: |Oops|general protection|soft lockup|self-detected stall"
    r"|blocked for more than|Kernel panic)"
)
_VERDICT = re.compile(r"^(?:FAILED|ERROR) ")
# Escape sequences first, then every control character but the ends of lines and tabs.
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class GuestReport:
    """What one boot came to."""

    release: str = ""
    """`uname -r`; empty: it never came up."""
    booted_after: float | None = None
    """Seconds of the guest's own clock until its first process had mounted everything."""
    pytest_after: float | None = None
    status: int | None = None
    """Of pytest; None: the guest did not live to its end."""
    counts: dict[str, int] = field(default_factory=dict)
    coverage: tuple[dict[str, Any], ...] = ()
    damaged: int = 0
    """Lines of coverage that were announced and could not be read."""
    complaints: int = 0
    """Warnings and worse in the kernel's own log."""

    @property
    def booted(self) -> bool:
        """Whether anything of ours ran."""
        return bool(self.release)

    @property
    def good(self) -> bool:
        """Whether tests ran, none failed, all they told arrived, and the kernel complained of nothing."""
        return self.status == 0 and bool(self.counts.get("passed")) and not self.damaged and not self.complaints


def plain(text: str) -> str:
    """The text without anything that could steer a terminal."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def read(console: str) -> GuestReport:
    """The report in a console's text."""
    text = plain(console)
    marks = {mark["step"]: mark for mark in _MARK.finditer(text)}
    details = {
        step: {detail["name"]: detail["value"] for detail in _DETAIL.finditer(mark["details"])}
        for step, mark in marks.items()
    }
    # A test may print anything, so the status counts only behind the last of our own marks.
    done = marks.get("done")
    status = _STATUS.search(text, done.end()) if done else None
    coverage, damaged = _coverage(text, marks.get("coverage"), done, details.get("coverage", {}))
    return GuestReport(
        release=details.get("booted", {}).get("release", ""),
        booted_after=_seconds(details.get("booted", {})),
        pytest_after=_seconds(details.get("pytest", {})),
        status=int(status["status"]) if status else None,
        counts=_counts(text),
        coverage=coverage,
        damaged=damaged,
        complaints=_number(details.get("done", {}).get("complaints")),
    )


def telling_lines(console: str, number: int = 20) -> list[str]:
    """The lines that say best why a guest failed, fit for a terminal; the last ones when none does."""
    lines = [line.rstrip()[:200] for line in plain(console).splitlines() if line.strip()]
    verdicts = [line for line in lines if _VERDICT.match(line)]
    complaints = list(dict.fromkeys(line for line in lines if _COMPLAINT.search(line)))
    shown = complaints[: number // 2]
    return verdicts[len(shown) - number :] + shown or lines[-number:]


def _coverage(
    text: str, begin: re.Match[str] | None, end: re.Match[str] | None, details: dict[str, str]
) -> tuple[tuple[dict[str, Any], ...], int]:
    if begin is None:
        return (), 0
    lines = text[begin.end() : end.start() if end else len(text)].splitlines()
    records = []
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            records.append(record)
    return tuple(records), max(0, _number(details.get("lines")) - len(records))


def _counts(text: str) -> dict[str, int]:
    summaries = list(_SUMMARY.finditer(text))
    if not summaries:
        return {}
    pairs = (part.split(" ", 1) for part in summaries[-1]["counts"].split(", "))
    return {{"error": "errors", "warning": "warnings"}.get(word, word): int(number) for number, word in pairs}


def _seconds(details: dict[str, str]) -> float | None:
    try:
        return float(details["up"])
    except (KeyError, ValueError):
        return None


def _number(value: str | None) -> int:
    return int(value) if value and value.isascii() and value.isdigit() else 0
