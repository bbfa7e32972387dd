"""What the census takes on this node as it is, beside the floor."""

from __future__ import annotations

from typing import Any

from benchmarks.floor import Floor
from benchmarks.subject import Subject
from benchmarks.timing import Timings, Work, in_turns, rounded

ROUNDS = 25


def against_floor(subject: Subject) -> dict[str, Any]:
    """Measure floor, parts of the census and the whole census in turns, on one CPU and on two."""
    with Floor(subject.headers, subject.pieces) as floor:
        timings = in_turns(
            {
                "floor_1_cpu": Work(lambda: floor.read_all(1), 1),
                "walk_1_cpu": subject.walk(1),
                "census_1_cpu": subject.take(1),
                "floor_2_cpus": Work(lambda: floor.read_all(2), 2),
                "walk_2_cpus": subject.walk(2),
                "census_2_cpus": subject.take(2),
                "mark": Work(subject.taker.mark, 1),
            },
            ROUNDS,
        )
        faults = floor.faults
    census = subject.taker.take()
    return {
        "rounds": ROUNDS,
        "pages_of_ram": subject.pages,
        "headers_read_by_walk": census.pages,
        "headers_unreadable": {"floor": faults, "walk": census.faults},
        "charged_objects": sum(charge.objects for charge in census.charges),
        "timings": {
            name: {**each.figures(), "ns_a_page_of_ram": rounded(min(each.wall) * 1e9 / subject.pages)}
            for name, each in timings.items()
        },
        "times_the_floor": {
            "walk_1_cpu": ratio(timings["walk_1_cpu"], timings["floor_1_cpu"]),
            "walk_2_cpus_to_floor_1_cpu": ratio(timings["walk_2_cpus"], timings["floor_1_cpu"]),
            "census_1_cpu": ratio(timings["census_1_cpu"], timings["floor_1_cpu"]),
            "census_2_cpus_to_floor_1_cpu": ratio(timings["census_2_cpus"], timings["floor_1_cpu"]),
        },
    }


def ratio(one: Timings, other: Timings) -> dict[str, float]:
    """How many times another's the least of one is."""
    return {
        "wall": rounded(min(one.wall) / min(other.wall)),
        "cpu": rounded(min(one.cpu) / min(other.cpu)),
    }
