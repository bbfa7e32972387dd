"""What a runtime's files call a container, and how such a file is read without trusting it.

Knows nothing of any runtime. Files are bounded in size, may be cut or foreign, and every value in them may be
of any type and length.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from kmemscope.model.node import Pod
from kmemscope.observe.hostfs import HostFs

MOST_BYTES = 4 << 20
"""Of one file that describes one container; the kernel allows 2 MiB of arguments and environment by
default."""
_MOST_CHARACTERS = 1024


@dataclass(frozen=True, slots=True)
class Names:
    """What was read about one container."""

    runtime: str
    name: str | None = None
    image: str | None = None
    pod: Pod | None = None


def read_object(hostfs: HostFs, path: str, most: int = MOST_BYTES) -> Mapping[str, object] | None:
    """Read a file that holds one JSON object; None when it is absent, too large or anything else."""
    value = read_json(hostfs, path, most)
    return value if isinstance(value, dict) else None


def read_json(hostfs: HostFs, path: str, most: int = MOST_BYTES) -> object:
    """Read a file of JSON; None when it is absent, too large or not JSON."""
    data = hostfs.read(path, most)
    return None if data is None else parse_json(data)


def parse_json(data: bytes | str) -> object:
    """Understand JSON; None when it is not."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def part(value: object, key: str) -> Mapping[str, object]:
    """Object under a key of an object; an empty one when there is none."""
    found = value.get(key) if isinstance(value, Mapping) else None
    return found if isinstance(found, dict) else {}


def text(value: Mapping[str, object], *keys: str) -> str | None:
    """Text under the first of some keys that has any; None when none has, or it is longer than a name can
    be."""
    for key in keys:
        found = value.get(key)
        if isinstance(found, str) and found:
            # JSON can spell halves of surrogate pairs, which no output can encode
            return None if len(found) > _MOST_CHARACTERS else found.encode("utf-8", "replace").decode()
    return None


def pod_of(values: Mapping[str, object], uid: str, name: str, namespace: str) -> Pod | None:
    """Pod that labels or annotations tell, by their keys; None when they tell no uid."""
    found = text(values, uid)
    return None if found is None else Pod(found, text(values, name), text(values, namespace))
