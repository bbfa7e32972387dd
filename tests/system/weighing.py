"""Compares a census with its two witnesses: the kernel's own number, and what a workload is known to make.

What may be missing from a census is bounded and has a name. Each CPU keeps the rest of a page that it charged
for the next object; what it puts back on a change of cgroup is `pending_bytes` of the owner. Two pages more
are for what is charged or freed between the reading of the kernel's number and the walk.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kmemscope.model.census import Census, Charge
from kmemscope.model.kinds import Kind
from kmemscope.observe.census import CensusTaker
from tests.system.cgroups import TestCgroup, settled_kernel_bytes
from tests.workloads.workload import Expectation

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
POSSIBLE_CPUS = os.sysconf("SC_NPROCESSORS_CONF")
LARGE_BYTES = 16 * 1024 * 1024
LARGE_COVERAGE = 0.999
EXCESS = 1.01
"""A census may lag behind the freeing of objects, but never count anything twice."""
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Weighing:
    """A census and the kernel's number for one cgroup, taken while nothing moved."""

    census: Census
    cgroup_ids: frozenset[int]
    """The cgroup, those below it, and those below it that lost their directory."""
    charged_bytes: int
    rows: Mapping[str, int]
    """The kernel's number for each kind, by the name of the kind; empty in version 1, which has none."""

    @classmethod
    def of(cls, census: Census, cgroup: TestCgroup, charged_bytes: int = 0) -> Weighing:
        """What a census says about one cgroup."""
        return cls(census, family(census, cgroup), charged_bytes, cgroup.rows())

    @property
    def charges(self) -> list[Charge]:
        """What the cgroup and those below it pay for."""
        return [each for each in self.census.charges if each.cgroup_id in self.cgroup_ids]

    @property
    def named_bytes(self) -> int:
        """Bytes that the census gives a name."""
        return sum(each.bytes for each in self.charges)

    @property
    def coverage(self) -> float:
        """Share of the charged bytes that has a name."""
        return self.named_bytes / self.charged_bytes

    @property
    def stock_bytes(self) -> int:
        """The most that may be charged and belong to no object."""
        pending = sum(each.pending_bytes for each in self.census.owners if each.cgroup_id in self.cgroup_ids)
        return (POSSIBLE_CPUS + 2) * PAGE_BYTES + pending

    def bytes_of(self, kind: Kind) -> int:
        """Bytes of one kind."""
        return sum(each.bytes for each in self.charges if each.kind is kind)

    def objects(self, caches: Iterable[str]) -> int:
        """Objects in the caches that have, or were merged under, one of these names."""
        wanted = set(caches)
        holding = {each.name for each in self.census.caches if wanted & {each.name, *each.aliases}}
        return sum(each.objects for each in self.charges if each.cache in holding)

    def found(self, expected: Expectation) -> int:
        """Objects, or bytes, of what a workload is expected to have made."""
        if expected.of_objects:
            return self.objects(expected.caches)
        return sum(each.bytes for each in self.charges if each.cache is None and each.kind in expected.kinds)

    def largest(self) -> str:
        """The largest charges, for the message of a failed test."""
        rows = sorted(self.charges, key=lambda each: -each.bytes)[:12]
        return "\n".join(f"{each.bytes:>12} {each.objects:>8} {each.kind} {each.cache or each.what}" for each in rows)


def family(census: Census, cgroup: TestCgroup) -> frozenset[int]:
    """Ids of a cgroup and all below it, by their directories and by what the census knows of removed ones."""
    ids = {each.id for each in cgroup.subtree()}
    grown = True
    while grown:
        below = {each.cgroup_id for each in census.owners if each.parent_id in ids} - ids
        ids |= below
        grown = bool(below)
    return frozenset(ids)


def weigh(taker: CensusTaker, cgroup: TestCgroup) -> Weighing:
    """Take a census of a cgroup that has come to rest; try again where it moved meanwhile."""
    for _ in range(ATTEMPTS):
        charged = settled_kernel_bytes(cgroup)
        census = taker.take()
        if cgroup.kernel_bytes() == charged:
            break
    return Weighing.of(census, cgroup, charged)


def assert_covered(weighing: Weighing) -> None:
    """All that is charged has a name, but for the per-CPU stock; and nothing is counted twice."""
    missing = weighing.charged_bytes - weighing.named_bytes
    rows = f"coverage {weighing.coverage:.4%}, missing {missing} bytes of:\n{weighing.largest()}"
    if weighing.charged_bytes >= LARGE_BYTES:
        assert weighing.coverage >= LARGE_COVERAGE, rows
    else:
        assert missing <= weighing.stock_bytes, f"{rows}\nmore than a stock of {weighing.stock_bytes}"
    most = max(weighing.charged_bytes * EXCESS, weighing.charged_bytes + 2 * PAGE_BYTES)
    assert weighing.named_bytes <= most, rows


def assert_found(weighing: Weighing, expected: Expectation, made: int) -> None:
    """The census has at least what the workload made."""
    least = made * expected.per_unit
    subject = " or ".join(expected.caches or expected.kinds)
    assert weighing.found(expected) >= least, f"{subject}: at least {least:.0f} expected, of:\n{weighing.largest()}"
