"""Columns of text: as wide as they need to be, numbers to the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A column's title and side."""

    title: str
    right: bool = False


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], indent: str = "") -> list[str]:
    """Lay out rows under their titles; no line has blanks at its end. Columns without any title have no title line."""
    titled = [[column.title for column in columns], *rows] if any(column.title for column in columns) else list(rows)
    widths = [max((len(row[i]) for row in titled), default=0) for i in range(len(columns))]
    lines = []
    for row in titled:
        cells = [
            text.rjust(width) if column.right else text.ljust(width)
            for text, width, column in zip(row, widths, columns, strict=True)
        ]
        lines.append(f"{indent}{'  '.join(cells)}".rstrip())
    return lines
