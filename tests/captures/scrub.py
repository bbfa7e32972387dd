"""Takes out of an observation what belongs to the machine that it was made on, and nothing that it counted.

Paths are rewritten so that the target stands directly below the root, cgroups between the two are left out, and so are
payers that are not the target's. The clock, the kernel's local version and the size of the machine become round.
"""

from __future__ import annotations

import re
from dataclasses import replace

from kmemscope.model.hierarchy import paths_by_id, within
from kmemscope.model.node import Cgroup
from kmemscope.model.observation import Observation

TIME = 1790000000.0
MEMORY_BYTES = 16 << 30


def scrubbed(observation: Observation, name: str) -> Observation:
    """Make the target of an observation `/name`."""
    old, new = observation.target or "/", f"/{name}"

    def moved(path: str) -> str:
        return new + path.removeprefix(old)

    def kept(cgroup: Cgroup) -> Cgroup:
        if cgroup.path == "/":  # its counters are the machine's
            return Cgroup("/", cgroup.id, cgroup.version)
        return replace(cgroup, path=moved(cgroup.path))

    cgroups = tuple(kept(each) for each in observation.cgroups if each.path == "/" or within(each.path, old))
    target_id = next(each.id for each in cgroups if each.path == new)
    root_id = next(each.id for each in cgroups if each.path == "/")
    census = observation.census
    if census:
        places = paths_by_id(observation.cgroups, census)
        owners = [owner for owner in census.owners if within(places[owner.cgroup_id], old)]
        census = replace(
            census,
            owners=tuple(
                replace(owner, name=name, parent_id=root_id) if owner.cgroup_id == target_id else owner
                for owner in owners
            ),
        )
    kernel = re.sub(r"[^0-9.].*", "", observation.host.kernel)
    return replace(
        observation,
        time=TIME,
        host=replace(observation.host, kernel=kernel, memory_bytes=MEMORY_BYTES),
        target=new,
        cgroups=cgroups,
        census=census,
        processes=tuple(replace(each, cgroup=moved(each.cgroup)) for each in observation.processes),
    )
