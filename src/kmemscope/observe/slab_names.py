"""Which slab caches were merged: /sys/kernel/slab has a folder for each and a symbolic link for each other name."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path, PurePath

SLAB = Path("/sys/kernel/slab")


def merged_names(folder: Path = SLAB) -> Mapping[str, tuple[str, ...]]:
    """Map every cache name to all the names that share its slabs, itself included, sorted.

    Empty where the kernel has no such folder. The folders of merged caches have made-up names (`:0000072`), which are
    nobody's names and left out.
    """
    groups: dict[str, set[str]] = defaultdict(set)
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(":"):
                    groups[folder_of(entry)].add(entry.name)
    except OSError:
        return {}
    return {name: tuple(sorted(names)) for names in groups.values() for name in names}


def folder_of(entry: os.DirEntry[str]) -> str:
    """Name of the folder that an entry is or links to."""
    try:
        return PurePath(os.readlink(entry)).name if entry.is_symlink() else entry.name  # noqa: PTH115 - is a DirEntry
    except OSError:  # it went away
        return entry.name
