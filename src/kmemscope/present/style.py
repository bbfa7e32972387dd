"""Colour, where the reader wants it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Style:
    """Writes text plain or with ANSI colours, as wide as there is room."""

    colour: bool = False
    columns: int | None = None
    """Width of the terminal; None where lines may be of any length."""

    def fit(self, line: str) -> str:
        """Cut a line that is wider than the terminal."""
        return line if self.columns is None or len(line) <= self.columns else f"{line[: self.columns - 1]}…"

    def bold(self, text: str) -> str:
        """Stress."""
        return self._wrap("1", text)

    def dim(self, text: str) -> str:
        """Step back."""
        return self._wrap("2", text)

    def warn(self, text: str) -> str:
        """Draw attention."""
        return self._wrap("33", text)

    def _wrap(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text
