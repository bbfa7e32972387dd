"""Captures (`*.kms`): one Observation in a file, to be explained elsewhere or by a later kmemscope.

Gzip-compressed JSON lines. The first says what it is: {"format": "kmemscope.capture", "version": 1, ...}; the second
is the observation without its long lists; then a line for each member of a list, {"<list>": {...}}; the last,
{"end": N}, counts the lines before it, so that a truncated file is noticed.
"""

from __future__ import annotations

import errno
import gzip
import json
import os
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kmemscope import __version__
from kmemscope.model.errors import Damaged, OutputFailed
from kmemscope.model.observation import Observation
from kmemscope.record.codec import build, expect, plain

FORMAT = "kmemscope.capture"
VERSION = 1
LISTS = {
    "cgroup": ("cgroups",),
    "process": ("processes",),
    "charge": ("census", "charges"),
    "cache": ("census", "caches"),
    "owner": ("census", "owners"),
}
"""Name of a line -> where its list is in the observation."""
LARGEST_BYTES = 1 << 28
"""Uncompressed; a node with 10,000 cgroups needs a fifth of that."""
ORIGIN = "give a file that `kmemscope capture` wrote"


def write(observation: Observation, path: Path) -> None:
    """Write a capture: whole or not at all, readable by its owner only. Raises OutputFailed."""
    check_place(path)
    try:
        handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=".kmemscope.")
        try:
            with os.fdopen(handle, "wb") as file:
                # No name and time in the header: the same observation gives the same bytes.
                with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
                    for line in lines(observation):
                        packed.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            Path(scratch).replace(path)
        except BaseException:
            Path(scratch).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputFailed(
            f"the capture could not be written to {path}",
            why=str(error.strerror),
            todo="name another file with -o",
        ) from error


def check_place(path: Path) -> None:
    """Raise OutputFailed where no capture can be written.

    The capture takes the place of what its path names, and must not take that of a device (`-o /dev/null`) or of a
    link that another user laid out.
    """
    why = ""
    if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
        why = "it is there and is not a plain file"
    elif not path.parent.is_dir():
        why = os.strerror(errno.ENOENT)
    elif not os.access(path.parent, os.W_OK):
        why = os.strerror(errno.EACCES)
    if why:
        raise OutputFailed(f"the capture could not be written to {path}", why=why, todo="name another file with -o")


def lines(observation: Observation) -> Iterator[dict[str, Any]]:
    """Give the lines of a capture as JSON values."""
    whole = plain(observation)
    members: list[dict[str, Any]] = []
    for name, place in LISTS.items():
        holder = whole
        for step in place[:-1]:
            holder = holder[step] or {}
        members += [{name: each} for each in holder.get(place[-1], ())]
        if holder:
            holder[place[-1]] = []
    yield {"format": FORMAT, "version": VERSION, "written_by": __version__}
    yield {"observation": whole}
    yield from members
    yield {"end": len(members) + 2}


def read(path: Path) -> Observation:
    """Read a capture.

    Raises Damaged, by name, for a file that is missing, foreign, truncated, too large or nonsense.
    """
    if path.exists() and not path.is_file():  # a FIFO would never end
        raise Damaged(f"{path} is not a capture", why="it is not a plain file", todo=ORIGIN)
    try:
        with gzip.open(path, "rb") as packed:
            raw = packed.read(LARGEST_BYTES + 1)
    except EOFError as error:
        raise Damaged(f"{path} is truncated", why="it ends too soon", todo="capture again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise Damaged(f"{path} is not a capture", why="it is not compressed as one, or damaged", todo=ORIGIN) from error
    except OSError as error:
        raise Damaged(f"{path} cannot be read", why=str(error.strerror or error), todo=ORIGIN) from error
    if len(raw) > LARGEST_BYTES:
        raise Damaged(f"{path} is larger than any capture", why=f"over {LARGEST_BYTES} bytes uncompressed", todo=ORIGIN)
    try:
        records = [expect(dict, json.loads(line)) for line in raw.splitlines()]
        return parse(records, path)
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise Damaged(f"{path} is not a capture", why=f"a line makes no sense: {error}", todo=ORIGIN) from error


def parse(records: list[dict[str, Any]], path: Path) -> Observation:
    """Make the observation of the lines of a capture."""
    if not records or records[0].get("format") != FORMAT:
        raise Damaged(f"{path} is not a capture", why="its first line does not say so", todo=ORIGIN)
    if expect(int, records[0].get("version")) > VERSION:
        raise Damaged(
            f"{path} was written by a newer kmemscope ({records[0].get('written_by')})",
            todo="read it with that version or a later one",
        )
    if records[-1].get("end") != len(records) - 1:
        raise Damaged(f"{path} is truncated", why="its last line is missing", todo="capture again")
    whole = expect(dict, records[1]["observation"])
    for record in records[2:-1]:
        for name, each in record.items():
            if name not in LISTS:  # of a later version
                continue
            holder = whole
            for step in LISTS[name][:-1]:
                holder = holder[step]
            expect(list, holder[LISTS[name][-1]]).append(each)
    return build(Observation, whole)
