"""Says what the matrix found: a line a kernel, and the share of each workload's memory that was named."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

_ABSENT = "–"


def result_line(target: str, release: str, cgroup: int, counts: Mapping[str, int], seconds: float) -> str:
    """`6.12 (6.12.107+deb13-cloud-amd64, cgroup v2): 41 passed, 2 skipped in 73 s`."""
    order = ("failed", "errors", "passed", "skipped", "xfailed", "xpassed")
    said = [f"{counts[word]} {word}" for word in order if counts.get(word)] or ["no test ran"]
    return f"{target} ({release or 'did not boot'}, cgroup v{cgroup}): {', '.join(said)} in {seconds:.0f} s"


def coverage_table(columns: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Workload by kernel, from each kernel's records; of several records for one workload the lowest counts.

    A record holds "workload" (a name) and "coverage" (named bytes over charged bytes, 1.0 is all). One
    without a number stands for a workload that could not be measured. Returns "" when nothing can be shown.
    """
    cells: dict[str, dict[str, float]] = {}
    for column, records in columns.items():
        for record in records:
            name, share = record.get("workload"), record.get("coverage")
            if not isinstance(name, str):
                continue
            row = cells.setdefault(name, {})
            if isinstance(share, int | float) and not isinstance(share, bool) and math.isfinite(share):
                row[column] = min(share, row.get(column, math.inf))
    if not cells:
        return ""
    table = [["coverage", *columns]]
    for name, row in cells.items():
        table.append([name, *(percent(row.get(column)) for column in columns)])
    widths = [max(len(line[place]) for line in table) for place in range(len(table[0]))]
    return "\n".join(
        "  ".join(
            [
                line[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
            ]
        )
        for line in table
    )


def percent(share: float | None) -> str:
    """Two decimals, rounded towards less, so that 100 % is only said of all of it."""
    if share is None:
        return _ABSENT
    hundredths = math.floor(share * 10000 + 1e-6)
    return f"{hundredths // 100}.{hundredths % 100:02d} %"
