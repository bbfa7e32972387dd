"""Measuring one thing several times, and several things in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
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


def in_turns(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Timings]:
    """Measure several things, one after the other in each round, so that all meet the same weather."""
    timings = {name: Timings() for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            timings[name].measure(work)
    return timings


def rounded(number: float) -> float:
    """Four significant digits: more would be noise."""
    return float(f"{number:.4g}")
