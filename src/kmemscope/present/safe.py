"""Text that came from a container, made harmless for a terminal.

Names of cgroups, processes and files are chosen by whoever runs in the container. Control characters, escape
sequences, bytes that are no text and characters that reorder or hide what follows are written as escapes.
"""

from __future__ import annotations

BYTES = range(0xDC80, 0xDD00)
"""What Python makes of bytes that are no UTF-8 (surrogateescape)."""


def safe(text: str, limit: int = 200) -> str:
    """Escape what is not plainly printable, and cut what is longer than `limit` characters."""
    shown = "".join(escaped(char) for char in text[: limit + 1])
    return shown if len(text) <= limit else f"{shown[:limit]}…"


def escaped(char: str) -> str:
    r"""Write one character, or its escape: \x.. for a byte, \u.... or \U........ for a character."""
    if char.isprintable():
        return "\\\\" if char == "\\" else char
    code = ord(char)
    if code < 0x80 or code in BYTES:
        return f"\\x{code & 0xFF:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def shortened(text: str, width: int) -> str:
    """Escape text and leave out its middle where it is wider than `width` columns."""
    shown = safe(text, 4096)
    if len(shown) <= width:
        return shown
    tail = (width - 1) * 2 // 3
    return f"{shown[: width - 1 - tail]}…{shown[-tail:]}"
