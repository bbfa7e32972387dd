"""Numbers for people: bytes in binary units, counts with thousands separators, shares in percent."""

from __future__ import annotations

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def size(amount: int) -> str:
    """Write bytes in the largest binary unit that leaves at least 1, with one decimal from KiB on."""
    value, sign = float(abs(amount)), "-" if amount < 0 else ""
    for unit in UNITS:
        # 1023.95 would be written 1024.0 of this unit.
        if value < 1023.95 or unit == UNITS[-1]:
            break
        value /= 1024
    return f"{sign}{value:.0f} B" if unit == "B" else f"{sign}{value:.1f} {unit}"


def count(number: int) -> str:
    """Write a count with separators."""
    return f"{number:,}"


def percent(share: float) -> str:
    """Write a share; what is neither nothing nor everything never looks like it."""
    if 0 < share < 0.01:
        return "<1 %"
    if 0.99 < share < 1:
        return f"{min(share * 100, 99.99):.2f} %"
    return f"{share * 100:.0f} %"
