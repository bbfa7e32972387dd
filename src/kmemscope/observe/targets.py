"""Resolves what a user calls a target to the path of one cgroup.

Knows the forms that a target's text may have (docs/contract.md). Does not observe anything of the target.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from kmemscope.model.errors import NotPermitted, TargetNotFound, UsageError
from kmemscope.observe.cgroups import MemoryHierarchy
from kmemscope.observe.containers import Containers
from kmemscope.observe.hostfs import Absence, HostFs

_ID_PREFIX = re.compile(r"[0-9a-f]{6,64}\Z")
_MOST_CANDIDATES = 10
_NEAREST = 3
_MOST_COMPARED = 2000
"""Names that an unknown one is compared with, each at most so long:"""
_MOST_CHARACTERS = 200
_MOST_PID_DIGITS = 7
"""Of 4,194,304, the most that the kernel's PID_MAX_LIMIT allows."""

_FORMS = "a container's name or id, a cgroup path, pid:N or self"


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A container that a name or an id may mean."""

    path: str
    id: str
    name: str | None

    @property
    def words(self) -> str:
        return f"{self.name or self.id[:12]} ({self.path})"


def resolve(hostfs: HostFs, hierarchy: MemoryHierarchy, text: str, containers: Containers | None = None) -> str:
    """Find the cgroup that a target's text means; the path is below the hierarchy's mount and exists now.

    `containers` may be given to share what was read. Raises UsageError for a text that is no target,
    TargetNotFound when it means nothing, several, or what is gone, and NotPermitted where /proc refuses.
    """
    if not text or "\0" in text:
        raise UsageError("the target is empty", why="nothing can be looked at", todo=f"give {_FORMS}")
    form, colon, rest = text.partition(":")
    if colon and form in {"pod", "java"}:
        raise UsageError(
            f"targets of the form {form}: are not understood yet", why=f"got {text}", todo=f"give {_FORMS}"
        )
    if text == "self":
        return _of_pid(hostfs, hierarchy, "self")
    if colon and form == "pid":
        return _of_pid(hostfs, hierarchy, rest)
    if text.startswith("/"):
        return _of_path(hierarchy, text)
    return _of_word(hierarchy, text, containers or Containers(hostfs))


def _of_pid(hostfs: HostFs, hierarchy: MemoryHierarchy, pid: str) -> str:
    if pid != "self" and not (pid.isascii() and pid.isdigit() and len(pid) <= _MOST_PID_DIGITS and int(pid)):
        raise UsageError(f"pid:{pid} is not a process number", todo="give pid:N, a number of 1 or more")
    path = hierarchy.of_pid(pid)
    if path is not None and hierarchy.exists(path):
        return path
    match hostfs.absence(f"/proc/{pid}/cgroup"):
        case Absence.DENIED:
            raise NotPermitted(
                f"process {pid} cannot be looked at", why="/proc refuses", todo="run as root or as its user"
            )
        case None:
            raise TargetNotFound(
                f"the memory cgroup of process {pid} cannot be reached",
                why=f"it is gone, or outside of what is mounted at {hierarchy.mount}",
                todo="run on the host, or give --root the directory with the host's /proc and /sys",
            )
        case _:
            raise TargetNotFound(f"there is no process {pid}", why="it is gone or never was")


def _of_path(hierarchy: MemoryHierarchy, text: str) -> str:
    path = _clean(text)
    for candidate in _below_mounts(hierarchy, path):
        if hierarchy.exists(candidate):
            return candidate
    if path == "/":
        return path
    shown = next(iter(_below_mounts(hierarchy, path)))
    raise TargetNotFound(
        f"there is no memory cgroup {shown}",
        why=f"it is gone or never was; memory cgroups are below {hierarchy.mount}",
        todo=_nearest_words(shown, (found for found, _ in hierarchy.walk())),
    )


def _below_mounts(hierarchy: MemoryHierarchy, path: str) -> Iterable[str]:
    """Cgroup paths that a path may mean: below a mount first, named longest first, then as it stands."""
    root = hierarchy.hostfs.root.as_posix().rstrip("/")
    mounts = {(prefix + mount, top) for mount, top in hierarchy.mounts for prefix in {"", root}}
    for mount, top in sorted(mounts, key=lambda pair: -len(pair[0])):
        if path == mount or path.startswith(mount.rstrip("/") + "/"):
            rest = path.removeprefix(mount.rstrip("/"))
            found = hierarchy.below_mount((top.rstrip("/") + rest) or "/")
            if found is not None:
                yield found
    yield path


def _of_word(hierarchy: MemoryHierarchy, text: str, containers: Containers) -> str:
    known = _containers(hierarchy, containers)
    prefix = _ID_PREFIX.match(text) is not None
    found = {each.path: each for each in known if text in (each.name, each.id) or (prefix and each.id.startswith(text))}
    path = _clean("/" + text)
    if path != "/" and hierarchy.exists(path):
        found.setdefault(path, _Candidate(path, "", "cgroup"))
    if len(found) == 1:
        return next(iter(found))
    if found:
        shown = sorted(each.words for each in found.values())
        more = f" and {len(shown) - _MOST_CANDIDATES} more" if len(shown) > _MOST_CANDIDATES else ""
        raise TargetNotFound(
            f"{text} means {len(found)} targets",
            why="candidates: " + ", ".join(shown[:_MOST_CANDIDATES]) + more,
            todo="give a longer id or the cgroup path",
        )
    names = [] if "/" in text else [each.name or each.id[:12] for each in known]
    raise TargetNotFound(
        f"there is no target {text}",
        why="no container has this name, or an id that starts with it (6 digits or more),"
        f" and there is no memory cgroup {path}",
        todo=_nearest_words(text, names or (found_path for found_path, _ in hierarchy.walk())),
    )


def _containers(hierarchy: MemoryHierarchy, containers: Containers) -> list[_Candidate]:
    found = []
    for path, _ in hierarchy.walk():
        identity = containers.identity(path)
        if identity.container is not None and identity.path == path:
            found.append(_Candidate(path, identity.container.id, identity.container.name))
    return found


def _nearest_words(text: str, names: Iterable[str]) -> str:
    compared: dict[str, None] = {}
    for name in names:
        if len(compared) == _MOST_COMPARED:
            break
        if len(name) <= _MOST_CHARACTERS:
            compared[name] = None
    near = difflib.get_close_matches(text[:_MOST_CHARACTERS], compared, n=_NEAREST, cutoff=0.0)
    return f"nearest: {', '.join(near)}" if near else f"give {_FORMS}"


def _clean(path: str) -> str:
    """Drop what says nothing from a path that starts with `/`; raises UsageError for `..`."""
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise UsageError(
            f"{path} leads upwards",
            why="a cgroup path with .. could leave the hierarchy",
            todo="give it without",
        )
    return "/" + "/".join(parts)
