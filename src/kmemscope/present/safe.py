"""Text that came from a container, made harmless for a terminal.

Names of cgroups, processes and files are chosen by whoever runs in the container. Control characters, escape
sequences, bytes that are no text and characters that reorder or hide what follows are written as escapes.
"""

from __future__ import annotations

import unicodedata

HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories: control, format (also right-to-left overrides), surrogate, private, unassigned, separators."""
SURROGATE_ESCAPE = 0xDC00


def safe(text: str, limit: int = 200) -> str:
    """Escape what is not plainly printable, and cut what is longer than `limit` characters."""
    shown = "".join(escaped(char) for char in text[: limit + 1])
    return shown if len(text) <= limit else f"{shown[:limit]}…"


def escaped(char: str) -> str:
    """Write one character, or its escape."""
    if unicodedata.category(char) not in HIDDEN:
        return "\\\\" if char == "\\" else char
    code = ord(char)
    if SURROGATE_ESCAPE <= code < SURROGATE_ESCAPE + 0x100:  # a byte that was not UTF-8
        code -= SURROGATE_ESCAPE
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def shortened(text: str, width: int) -> str:
    """Escape text and leave out its middle where it is wider than `width` columns."""
    shown = safe(text, 4096)
    if len(shown) <= width:
        return shown
    tail = (width - 1) * 2 // 3
    return f"{shown[: width - 1 - tail]}…{shown[-tail:]}"
