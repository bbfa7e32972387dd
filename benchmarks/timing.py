"""Measuring one thing several times, and several things in turns."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median


@dataclass(slots=True)
class Timings:
    """Seconds that repetitions of one thing took."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    """Of all threads of this process together."""

    def measure(self, work: Callable[[], object]) -> None:
        """Do it once more."""
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(time.process_time() - cpu)

    def figures(self) -> dict[str, float]:
        """Milliseconds, as they go into the document."""
        return {
            "min_ms": rounded(min(self.wall) * 1e3),
            "median_ms": rounded(median(self.wall) * 1e3),
            "cpu_min_ms": rounded(min(self.cpu) * 1e3),
        }


@dataclass(frozen=True, slots=True)
class Work:
    """Something to measure, on so many CPUs, and what has to come before without being measured."""

    run: Callable[[], object]
    cpus: int
    prepare: Callable[[], object] = lambda: None


def in_turns(works: Mapping[str, Work], rounds: int) -> dict[str, Timings]:
    """Measure several things, one after the other in each round, so that all meet the same weather."""
    timings = {name: Timings() for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            work.prepare()
            with on_cpus(work.cpus):
                timings[name].measure(work.run)
    return timings


@contextmanager
def on_cpus(number: int) -> Iterator[None]:
    """Keep to the first so many of the CPUs that this process may use."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:number])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def rounded(number: float) -> float:
    """Four significant digits: more would be noise."""
    return float(f"{number:.4g}")
