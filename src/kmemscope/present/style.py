"""Colour, where the reader wants it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Style:
    """Writes text plain, or with ANSI colours."""

    colour: bool = False

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
