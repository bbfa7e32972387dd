"""Podman run by root: `libpod-<id>.scope`; names in the index of its container storage.

Does not read its database, nor the storage of other users: of their containers only the id is known.
"""

from __future__ import annotations

from collections.abc import Mapping

from kmemscope.observe.containers.naming import Names, parse_json, read_json, text
from kmemscope.observe.hostfs import HostFs

_STORE = "/var/lib/containers/storage"
_INDEXES = ("containers.json", "volatile-containers.json")
_MOST_BYTES = 16 << 20
"""Of an index; a container takes about 1 KiB."""
_MOST_DRIVERS = 64


class Podman:
    """Reader of podman's storage, for one look."""

    name = "podman"
    prefixes: tuple[str, ...] = ("libpod", "libpod-payload")
    parents: tuple[str, ...] = ()

    def __init__(self, hostfs: HostFs) -> None:
        self._hostfs = hostfs
        self._index: dict[str, Names] | None = None

    def names(self, container_id: str) -> Names | None:
        """What podman calls a container; None when its storage does not know it or cannot be read."""
        if self._index is None:
            self._index = self._read_indexes()
        return self._index.get(container_id)

    def _read_indexes(self) -> dict[str, Names]:
        found: dict[str, Names] = {}
        for driver in self._hostfs.names(_STORE, _MOST_DRIVERS) or ():
            if driver.endswith("-containers"):
                for index in _INDEXES:
                    entries = read_json(self._hostfs, f"{_STORE}/{driver}/{index}", _MOST_BYTES)
                    for entry in entries if isinstance(entries, list) else ():
                        if isinstance(entry, dict) and (container_id := text(entry, "id")):
                            found[container_id] = self._names_in(entry)
        return found

    def _names_in(self, entry: Mapping[str, object]) -> Names:
        metadata = text(entry, "metadata")
        inner = parse_json(metadata) if metadata else None
        values = inner if isinstance(inner, dict) else {}
        names = entry.get("names")
        first = {"name": names[0]} if isinstance(names, list) and names else {}
        return Names(self.name, text(first, "name") or text(values, "name"), text(values, "image-name"))
