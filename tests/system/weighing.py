"""Compares a census with its witnesses: the kernel's own numbers, and what a workload is known to make.

What may be missing from a census is bounded and has a name: the stock of each CPU. An object that does not fit into
the stock has whole pages charged and leaves their rest there, on top of what was there (refill_obj_stock(),
mm/memcontrol.c); so it never holds more than the largest object and a page. What a CPU puts back when it turns to
another cgroup is `pending_bytes` of the owner.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
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
EXCESS_BYTES = POSSIBLE_CPUS * PAGE_BYTES
"""What may be named and not charged: objects that were freed between the two readings, nothing counted twice."""
ROW_LAG_BYTES = POSSIBLE_CPUS * 3 * PAGE_BYTES
"""Each CPU holds back what it has to add to a row: a page, or one object of any size, as a task_struct of 8 KiB."""
ROWS_NOT_KEPT = {(Kind.PAGETABLES, (6, 18))}
"""Rows that a kernel shows and does not keep: in 6.18.15 this one is always 0, though `kernel` has the pages in it."""
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
    dying: int = 0
    """Removed cgroups below this one that the kernel still has."""

    @classmethod
    def of(cls, census: Census, cgroup: TestCgroup, charged_bytes: int = 0) -> Weighing:
        """What a census says about one cgroup."""
        return cls(census, family(census, cgroup), charged_bytes, cgroup.rows(), cgroup.dying())

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
        return self.named_bytes / self.charged_bytes if self.charged_bytes else 1.0

    @property
    def stock_bytes(self) -> int:
        """The most that may be charged and belong to no object."""
        pending = sum(each.pending_bytes for each in self.census.owners if each.cgroup_id in self.cgroup_ids)
        paid = {each.cache for each in self.charges}
        largest = max((each.object_bytes for each in self.census.caches if each.name in paid), default=0)
        # A removed cgroup keeps the rest of its last page until it is freed, also when no object leads to it any more.
        return POSSIBLE_CPUS * self.census.stock_slots * (largest + PAGE_BYTES) + pending + self.dying * PAGE_BYTES

    @property
    def disagreement(self) -> str:
        """What is wrong between the census and the kernel's number; empty when nothing is."""
        missing = self.charged_bytes - self.named_bytes
        if self.charged_bytes >= LARGE_BYTES and self.coverage < LARGE_COVERAGE:
            return f"only {self.coverage:.3%} of {self.charged_bytes} bytes are named"
        if self.charged_bytes < LARGE_BYTES and missing > self.stock_bytes:
            return f"{missing} of {self.charged_bytes} bytes are not named, more than a stock of {self.stock_bytes}"
        if -missing > EXCESS_BYTES:
            return f"{-missing} bytes more than the {self.charged_bytes} charged are named"
        return "; ".join(self.kinds_in_disagreement())

    def kinds_in_disagreement(self) -> Iterator[str]:
        """Kinds whose bytes are not those of the kernel's own row."""
        for kind in Kind:
            if kind not in self.rows or (kind, release()) in ROWS_NOT_KEPT:
                continue
            least = most = self.bytes_of(kind)
            if kind is Kind.SLAB_UNRECLAIMABLE:  # its row has large kmalloc, which looks like any block before 6.16
                most += self.bytes_of(Kind.OTHER_PAGES)
            if not least - ROW_LAG_BYTES <= self.rows[kind] <= most + ROW_LAG_BYTES:
                yield f"{least} bytes of {kind} are named, the kernel counts {self.rows[kind]}"

    def bytes_of(self, kind: Kind) -> int:
        """Bytes of one kind."""
        return sum(each.bytes for each in self.charges if each.kind is kind)

    def objects(self, caches: Iterable[str], kinds: Iterable[Kind] = tuple(Kind)) -> int:
        """Objects in the caches that have, or were merged under, one of these names."""
        wanted = set(caches)
        holding = {each.name for each in self.census.caches if wanted & {each.name, *each.aliases}}
        return sum(each.objects for each in self.charges if each.cache in holding and each.kind in kinds)

    def found(self, expected: Expectation) -> int:
        """Objects, or bytes, of what a workload is expected to have made."""
        if expected.of_objects:
            return self.objects(expected.caches, expected.kinds)
        return sum(each.bytes for each in self.charges if each.cache is None and each.kind in expected.kinds)

    def largest(self) -> str:
        """The largest charges, and what the census could not see, for the message of a failed test."""
        rows = sorted(self.charges, key=lambda each: -each.bytes)[:12]
        lines = (f"{each.bytes:>12} {each.objects:>8} {each.kind} {each.cache or each.what}" for each in rows)
        return "\n".join([*lines, *self.census.notes])


def release() -> tuple[int, int]:
    """Series of this kernel."""
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int(minor)


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
