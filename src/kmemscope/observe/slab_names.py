"""Which slab caches were merged: /sys/kernel/slab has a folder for each and a symbolic link for each other name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

SLAB = Path("/sys/kernel/slab")


def merged_names(folder: Path = SLAB) -> Mapping[str, tuple[str, ...]]:
    """Map every cache name to all the names that share its slabs, itself included, sorted.

    Empty where the kernel has no such folder. The folders of merged caches have made-up names (`:0000072`), which are
    nobody's names and left out.
    """
    groups: dict[str, set[str]] = defaultdict(set)
    try:
        entries = list(folder.iterdir())
    except OSError:
        return {}
    for entry in entries:
        try:
            link = entry.readlink().name if entry.is_symlink() else entry.name
        except OSError:
            continue
        if not entry.name.startswith(":"):
            groups[link].add(entry.name)
    return {name: tuple(sorted(names)) for names in groups.values() for name in names}
