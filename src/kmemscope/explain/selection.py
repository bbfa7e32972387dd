"""Which cgroup of an observation the words of a user mean: a capture of a node answers about any of its containers.

Knows what was observed, so `self` and processes that were not looked at mean nothing here.
"""

from __future__ import annotations

import re
from dataclasses import replace

from kmemscope.explain.diagnosis import is_container
from kmemscope.model.errors import TargetNotFound, UsageError
from kmemscope.model.hierarchy import within
from kmemscope.model.node import Cgroup
from kmemscope.model.observation import Observation

ID_PREFIX = re.compile(r"[0-9a-f]{6,64}")
MOST_CANDIDATES = 10


def select(observation: Observation, words: str) -> Observation:
    """Make an observation of the cgroup that these words mean.

    What was read around the census holds for the observed target only and is left out for another. Raises
    TargetNotFound when the words mean nothing that was observed, or more than one cgroup; UsageError for no word.
    """
    if not words:
        raise UsageError("the target is empty", todo="give a cgroup path, a container's name or id, or pid:N")
    by_path = {cgroup.path: cgroup for cgroup in observation.cgroups}
    pids = {f"pid:{process.pid}": process.cgroup for process in observation.processes}
    path = pids.get(words) or "/" + words.strip("/")
    found = {path} & set(by_path)
    if "/" not in words:
        found |= {cgroup.path for cgroup in by_path.values() if is_container(cgroup, by_path) and called(cgroup, words)}
    found = {each for each in found if within(each, observation.target or "/")}
    if len(found) != 1:
        seen = sorted(found or (each for each in by_path if within(each, observation.target or "/")))
        raise TargetNotFound(
            f"{words} means {len(found)} targets" if found else f"{words} was not observed",
            why="candidates: " + ", ".join(seen[:MOST_CANDIDATES]) + (", …" if len(seen) > MOST_CANDIDATES else ""),
            todo="give one of these paths",
        )
    (target,) = found
    if target == observation.target:
        return observation
    below = tuple(process for process in observation.processes if within(process.cgroup, target))
    return replace(observation, target=target, charged=None, processes=below)


def called(cgroup: Cgroup, words: str) -> bool:
    """Whether a container has this name, this id, or an id that starts with these 6 digits or more."""
    container = cgroup.container
    if container is None:
        return False
    prefix = ID_PREFIX.fullmatch(words) is not None and container.id.startswith(words)
    return words in (container.name, container.id) or prefix
