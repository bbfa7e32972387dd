"""Compares a census with its two witnesses: the kernel's own number, and what a workload is known to make.

What may be missing from a census is bounded and has a name. Each CPU keeps the rest of a page that it charged
for the next object; what it puts back on a change of cgroup is `pending_bytes` of the owner. Two pages more
are for what is charged or freed between the reading of the kernel's number and the walk.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kmemscope.model.census import Census, Charge
from kmemscope.model.kinds import Kind
from kmemscope.observe.census import CensusTaker
from tests.system.cgroups import TestCgroup
from tests.workloads.workload import Expectation

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
POSSIBLE_CPUS = os.sysconf("SC_NPROCESSORS_CONF")
LARGE_BYTES = 16 * 1024 * 1024
LARGE_COVERAGE = 0.999
EXCESS = 0.01
"""A census may lag behind the freeing of objects, but never count anything twice."""
PATIENCE_SECONDS = 6.0
PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Weighing:
    """A census and the kernel's number for one cgroup."""

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

    @property
    def disagreement(self) -> str:
        """What is wrong between the census and the kernel's number; empty when nothing is."""
        missing = self.charged_bytes - self.named_bytes
        if self.charged_bytes >= LARGE_BYTES and self.coverage < LARGE_COVERAGE:
            return f"only {self.coverage:.3%} of {self.charged_bytes} bytes are named"
        if self.charged_bytes < LARGE_BYTES and missing > self.stock_bytes:
            return f"{missing} of {self.charged_bytes} bytes are not named, more than a stock of {self.stock_bytes}"
        if -missing > max(self.charged_bytes * EXCESS, 2 * PAGE_BYTES):
            return f"{-missing} bytes more than the {self.charged_bytes} charged are named"
        return ""

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
    """Take a census of a cgroup at rest; again, where the kernel's number has not caught up with the truth.

    Statistics of version 2 are up to two seconds old, and on both versions some memory goes only after an RCU grace
    period: a disagreement counts when it lasts.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        charged = cgroup.kernel_bytes()
        weighing = Weighing.of(taker.take(), cgroup, charged)
        moved = cgroup.kernel_bytes() != charged
        if time.monotonic() > deadline or not (moved or weighing.disagreement):
            return weighing
        time.sleep(PAUSE_SECONDS)


def assert_covered(weighing: Weighing) -> None:
    """All that is charged has a name, but for the per-CPU stock; and nothing is counted twice."""
    assert not weighing.disagreement, f"{weighing.disagreement}:\n{weighing.largest()}"


def assert_found(weighing: Weighing, expected: Expectation, made: int) -> None:
    """The census has at least what the workload made."""
    least = made * expected.per_unit
    subject = " or ".join(expected.caches or expected.kinds)
    assert weighing.found(expected) >= least, f"{subject}: at least {least:.0f} expected, of:\n{weighing.largest()}"
