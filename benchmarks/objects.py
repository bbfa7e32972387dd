"""What a charged object costs the census on top of its page headers.

The census is measured without and with two million extra dentries: all of one cgroup, and those of two or of many that
take turns, so that no two neighbours in a slab have the same owner. Their slabs have headers too, which the census
would skip if they were free memory: they are part of the price.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from benchmarks.playground import Playground, holding
from benchmarks.subject import Subject
from benchmarks.timing import Timings, in_turns, rounded
from kmemscope.observe.slab_names import merged_names

OBJECTS = 2_000_000
MANY = 32
ROUNDS = 15
SETTLING_SECONDS = 0.3
"""The kernel frees objects a while after they are gone."""


@contextmanager
def of_one_owner(ground: Playground) -> Iterator[None]:
    """Dentries of one cgroup, made by a process on each CPU."""
    cpus = sorted(os.sched_getaffinity(0))
    with ground.cgroup("one") as cgroup:
        share = str(OBJECTS // len(cpus))
        with holding(*(["names", str(cgroup), share] for _ in cpus)):
            yield


@contextmanager
def of_owners_in_turn(ground: Playground, owners: int) -> Iterator[None]:
    """Dentries of several cgroups in turn, made by a process of each on each CPU, which pass it to each other."""
    cpus = sorted(os.sched_getaffinity(0))
    with ExitStack() as stack:
        cgroups = [stack.enter_context(ground.cgroup(f"turn-{each}")) for each in range(owners)]
        share = str(OBJECTS // len(cpus) // owners)
        stack.enter_context(holding(*(["names", str(each), share, str(cpu)] for cpu in cpus for each in cgroups)))
        yield


def measured(subject: Subject) -> dict[str, Timings]:
    """Measure the walk and the whole census."""
    time.sleep(SETTLING_SECONDS)
    return in_turns(
        {
            "walk_1_cpu": subject.walk(1),
            "walk_2_cpus": subject.walk(2),
            "census_1_cpu": subject.take(1),
            "census_2_cpus": subject.take(2),
        },
        ROUNDS,
    )


def counted(subject: Subject) -> int:
    """Charged dentries of this node, as the census counts them."""
    names = merged_names()
    charges = subject.taker.take().charges
    return sum(charge.objects for charge in charges if charge.cache and "dentry" in names.get(charge.cache, ()))


ARRANGEMENTS: dict[str, Callable[[Playground], AbstractContextManager[None]]] = {
    "one_owner": of_one_owner,
    "two_owners_in_turn": lambda ground: of_owners_in_turn(ground, 2),
    "many_owners_in_turn": lambda ground: of_owners_in_turn(ground, MANY),
}


def cost_of_objects(
    subject: Subject, ground: Playground, with_objects: Callable[[], dict[str, Any]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure all arrangements; the second value is what `with_objects` gave while those of one owner were there."""
    found: dict[str, Any] = {"made": OBJECTS, "rounds": ROUNDS}
    also: dict[str, Any] = {}
    for name, arrangement in ARRANGEMENTS.items():
        few, without = counted(subject), measured(subject)
        with arrangement(ground):
            many, timed = counted(subject), measured(subject)
            if not also:
                also = with_objects()
        after = measured(subject)
        for part, timings in after.items():
            without[part].wall += timings.wall
            without[part].cpu += timings.cpu
        found[name] = {
            "counted": many - few,
            "without": {part: each.figures() for part, each in without.items()},
            "with": {part: each.figures() for part, each in timed.items()},
            "ns_an_object": {part: ns_an_object(timed[part], without[part]) for part in timed},
        }
    return found, also


def ns_an_object(timed: Timings, without: Timings) -> dict[str, float]:
    """Time on top, by the least of each."""
    return {
        "wall": rounded((min(timed.wall) - min(without.wall)) / OBJECTS * 1e9),
        "cpu": rounded((min(timed.cpu) - min(without.cpu)) / OBJECTS * 1e9),
    }
