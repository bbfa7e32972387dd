"""Makes demo/leak.kms, the capture that `make demo` explains where it cannot run live: `python -m demo.record`.

What is above the container and the build of the kernel belong to the machine it is made on, and are left out.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from demo.__main__ import CAPTURE
from demo.container import leaking
from kmemscope.model.hierarchy import within
from kmemscope.model.observation import Observation
from kmemscope.observe.machine import Machine
from kmemscope.record.capture import write

TARGET = "/leaky-demo"


def main() -> None:
    """Record the demonstration."""
    with leaking() as leak, Machine.open(Path("/")) as machine:
        write(anonymous(machine.look_at(leak.target)), CAPTURE)


def anonymous(seen: Observation) -> Observation:
    """Keep the container alone, under a name that says nothing."""
    place = seen.target or "/"
    cgroups = tuple(
        replace(
            each,
            path=TARGET + each.path.removeprefix(place),
            container=replace(each.container, id="leaky-demo") if each.container else None,
        )
        for each in seen.cgroups
        if within(each.path, place)
    )
    ids = {each.id for each in cgroups}
    census = seen.census and replace(
        seen.census, owners=tuple(owner for owner in seen.census.owners if owner.cgroup_id in ids)
    )
    return replace(
        seen,
        target=TARGET,
        cgroups=cgroups,
        census=census,
        host=replace(seen.host, kernel=seen.host.kernel.split("-")[0]),
        processes=tuple(replace(each, cgroup=TARGET + each.cgroup.removeprefix(place)) for each in seen.processes),
    )


if __name__ == "__main__":
    main()
