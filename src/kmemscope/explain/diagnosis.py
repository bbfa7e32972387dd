"""The whole answer about one target, and about a node."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from kmemscope.explain.account import account_of, counted_only, witness_of
from kmemscope.explain.headline import headline
from kmemscope.explain.vocabulary import KIND_NAMES
from kmemscope.model.errors import TargetNotFound
from kmemscope.model.explanation import Explanation, NodeRow, NodeView
from kmemscope.model.hierarchy import ancestors, effective_limit, gone, paths_by_id, within
from kmemscope.model.kinds import Kind
from kmemscope.model.node import Cgroup, Level
from kmemscope.model.observation import Observation


def explain(observation: Observation) -> Explanation:
    """Explain the target of an observation.

    Raises TargetNotFound when it was an observation of a whole node, or the target went away while it was looked at.
    """
    by_path = {cgroup.path: cgroup for cgroup in observation.cgroups}
    target = by_path.get(observation.target or "")
    if target is None:
        raise TargetNotFound("this observation has no target", todo="name one, or capture one")
    account = account_of(observation, target)
    census = observation.census
    limit = effective_limit(by_path, target.path)
    return Explanation(
        level=observation.level,
        limitations=observation.limitations,
        time=observation.time,
        host=observation.host,
        target=target,
        limit=limit,
        headline=headline(target, limit, account, observation.processes),
        account=account,
        no_account=None if account else why_no_account(observation, target.kernel_bytes),
        processes=observation.processes,
        processes_left_out=observation.processes_left_out,
        notes=census.notes if census else (),
        seconds=observation.seconds,
        census_seconds=census.seconds if census else None,
        census_pages=census.pages if census else None,
    )


def why_no_account(observation: Observation, kernel_bytes: int | None) -> str:
    """Say in a sentence why the bytes have no names."""
    if kernel_bytes is None:
        return "the kernel keeps no number for this cgroup (kernel memory accounting is off, or it is the root)"
    if observation.level is not Level.EXACT:
        return "counters alone do not say what the memory is"
    return "there is no census in this observation"


def view(observation: Observation) -> NodeView:
    """Make the table of all cgroups, largest first."""
    by_path = {cgroup.path: cgroup for cgroup in observation.cgroups}
    paths = paths_by_id(observation.cgroups, observation.census)
    sums: dict[str, dict[Kind, int]] = defaultdict(lambda: defaultdict(int))
    for charge in observation.census.charges if observation.census else ():
        for path in ancestors(paths.get(charge.cgroup_id, "/")):
            sums[path][charge.kind] += charge.bytes
    owners = {owner.cgroup_id: owner for owner in observation.census.owners} if observation.census else {}
    rows = []
    for cgroup in observation.cgroups:
        # A look at one target counted that alone: not what else is in the cgroups above it.
        counted = observation.census is not None and within(cgroup.path, observation.target or "/")
        witness = counted_only(witness_of(cgroup, owners.get(cgroup.id)))
        kinds = {**sums.get(cgroup.path, {}), **witness} if counted else stat_kinds(cgroup.stat)
        largest = min(kinds, key=lambda kind: (-kinds[kind], kind), default=None)
        rows.append(
            NodeRow(
                cgroup=cgroup,
                is_container=is_container(cgroup, by_path),
                kernel_bytes=cgroup.kernel_bytes,
                named_bytes=sum(kinds.values()) if counted else None,
                limit=effective_limit(by_path, cgroup.path),
                largest_kind=largest,
                largest_label=KIND_NAMES[largest] if largest else None,
                largest_bytes=kinds[largest] if largest else None,
            )
        )
    rows.sort(key=lambda row: (-(row.kernel_bytes or 0), row.cgroup.path))
    return NodeView(
        level=observation.level,
        limitations=observation.limitations,
        time=observation.time,
        host=observation.host,
        rows=tuple(rows),
        gone=gone(observation.cgroups, observation.census, paths),
        seconds=observation.seconds,
    )


def is_container(cgroup: Cgroup, by_path: Mapping[str, Cgroup]) -> bool:
    """Whether a cgroup is a container's own, not one inside of it."""
    parent = by_path.get(cgroup.path.rpartition("/")[0] or "/")
    around = parent.container if parent and parent is not cgroup else None
    return cgroup.container is not None and (around is None or around.id != cgroup.container.id)


def stat_kinds(stat: Mapping[str, int]) -> dict[Kind, int]:
    """Bytes by kind as far as memory.stat has rows for them."""
    return {kind: stat[kind.value] for kind in Kind if stat.get(kind.value)}
