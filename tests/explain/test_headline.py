from dataclasses import replace

import pytest
from hypothesis import given

from kmemscope.explain.diagnosis import explain
from kmemscope.model.kinds import Kind
from kmemscope.model.node import Cgroup
from kmemscope.model.observation import Observation
from tests.explain.looks import census, look, pages, slab
from tests.strategies import observations

MIB = 1 << 20
TARGET = Cgroup("/t", 2, 1, kernel_bytes=100 * MIB)


def headline(observation: Observation) -> str:
    return explain(observation).headline


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({}, "100.0 MiB of kernel memory."),
        ({"/t": 200 * MIB}, "100.0 MiB of kernel memory, 50 % of the 200.0 MiB limit."),
        ({"/t": 900 * MIB, "/": 400 * MIB}, "100.0 MiB of kernel memory, 25 % of the 400.0 MiB limit of /."),
        ({"/t": 0}, "100.0 MiB of kernel memory."),
    ],
)
def test_it_says_how_much_and_how_near_the_limit(limits: dict[str, int], words: str) -> None:
    cgroups = [replace(each, limit_bytes=limits.get(each.path)) for each in (Cgroup("/", 1, 1), TARGET)]
    assert headline(look(None, *cgroups)) == words


@pytest.mark.parametrize(
    ("charges", "words"),
    [
        (
            (pages(2, Kind.KERNEL_STACK, 60 * MIB),),
            "Mostly kernel stacks: 60.0 MiB (60 %), one for every thread that exists.",
        ),
        (
            (pages(2, Kind.PIPE_BUFFERS, 30 * MIB), slab(2, "dentry", 1, 20 * MIB)),
            "The largest part is pipe buffers: 30.0 MiB (30 %), data written into pipes and not read yet.",
        ),
        (
            (slab(2, "filp", 250_000, 64 * MIB),),
            "Mostly slab, unreclaimable: 64.0 MiB (64 %), mostly 250,000 × filp (open files).",
        ),
        (
            tuple(slab(2, f"cache{n}", 10, 10 * MIB) for n in range(8)),
            "Mostly slab, unreclaimable: 80.0 MiB (80 %), spread over 8 types of objects.",
        ),
        (
            (pages(2, Kind.PERCPU, 150 * MIB),),
            "Mostly per-CPU memory: 150.0 MiB (100 %), a copy for every CPU: cgroups, mounts, networks.",
        ),
    ],
    ids=["one kind", "less than half", "one type", "many types", "more named than charged"],
)
def test_it_says_what_the_memory_mostly_is(charges: tuple, words: str) -> None:
    assert headline(look(census(*charges), TARGET)) == f"100.0 MiB of kernel memory. {words}"


def test_little_memory_is_called_little() -> None:
    little = replace(TARGET, kernel_bytes=MIB - 1)
    assert headline(look(census(slab(2, "x", 1, 99)), little)) == "1.0 MiB of kernel memory: next to nothing."


def test_a_kernel_that_keeps_no_number_is_said_to() -> None:
    assert "does not say" in headline(look(None, replace(TARGET, kernel_bytes=None)))


@given(observations())
def test_there_is_always_a_sentence(observation: Observation) -> None:
    words = headline(observation)
    assert words.endswith(".")
    assert "\n" not in words
