"""Cgroups made below one's own: their per-CPU counters are charged to the cgroup above them."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from kmemscope.model.kinds import Kind
from tests.hierarchy import Hierarchy
from tests.workloads.workload import UnavailableError, Workload, pages


def put_into(cgroup: Path) -> None:
    """Move this process."""
    (cgroup / "cgroup.procs").write_text("0")


def nested_cgroups(count: int, keep: ExitStack) -> int:
    """Make empty cgroups beside a leaf that this process moves to: in version 2 processes live in leaves."""
    hierarchy = Hierarchy.find()
    if hierarchy is None:
        raise UnavailableError("the memory controller")
    top = hierarchy.directory_of()
    leaf = top / "leaf"
    leaf.mkdir()
    keep.callback(leaf.rmdir)
    put_into(leaf)
    keep.callback(put_into, top)
    if hierarchy.version == 2:
        (top / "cgroup.subtree_control").write_text("+memory")
        keep.callback((top / "cgroup.subtree_control").write_text, "-memory")
    for each in range(count):
        (top / f"empty-{each:04}").mkdir()
        keep.callback((top / f"empty-{each:04}").rmdir)
    return count


WORKLOADS = (
    Workload(
        name="nested_cgroups",
        summary="empty cgroups below the own one: per-CPU counters and statistics each",
        make=nested_cgroups,
        count=100,
        expects=(pages(Kind.PERCPU, bytes_per_unit=1024),),
    ),
)
