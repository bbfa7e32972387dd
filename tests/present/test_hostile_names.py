"""No text that a container chose reaches a terminal raw, whatever field of an observation it stands in."""

import json
from dataclasses import replace

import pytest
from hypothesis import given

from kmemscope.explain.diagnosis import explain, view
from kmemscope.model.checkup import Check, Checkup
from kmemscope.model.node import Cgroup, Container, Host, Level, Limitation, Pod, Process
from kmemscope.model.observation import Observation
from kmemscope.present.as_json import doctor_json, dumped, node_json, why_json
from kmemscope.present.doctor_text import doctor_text
from kmemscope.present.node_text import node_text
from kmemscope.present.style import Style
from kmemscope.present.why_text import why_text
from tests.strategies import HOSTILE, hostile_observations

PLAIN = Style()


def harmless(text: str) -> bool:
    """Whether every line of a text is printable; the lines themselves are ours."""
    return text.endswith("\n") and all(line.isprintable() for line in text[:-1].split("\n"))


@given(hostile_observations())
def test_why_shows_any_observation_without_harm(observation: Observation) -> None:
    answer = explain(replace(observation, target=observation.target or observation.cgroups[0].path))

    for verbose in (False, True):
        assert harmless(why_text(answer, PLAIN, verbose=verbose))
    assert dumped(why_json(answer)).isascii()


@given(hostile_observations())
def test_the_node_table_shows_any_observation_without_harm(observation: Observation) -> None:
    answer = view(observation)

    for verbose in (False, True):
        assert harmless(node_text(answer, PLAIN, verbose=verbose))
    assert json.loads(dumped(node_json(answer)))["cgroups"][0]["cgroup"] == answer.rows[0].cgroup.path


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_makes_a_line_of_its_own(name: str) -> None:
    lines = [len(why_text(explain(observation_called(each)), PLAIN, verbose=True).splitlines()) for each in ("x", name)]
    assert lines[0] == lines[1]


@pytest.mark.parametrize("name", HOSTILE)
def test_json_carries_every_name_as_it_is(name: str) -> None:
    answer = json.loads(dumped(why_json(explain(observation_called(name)))))

    assert answer["target"]["container"]["name"] == name
    assert answer["target"]["pod"]["namespace"] == name
    assert answer["holders"]["processes"][0]["comm"] == name


@pytest.mark.parametrize("name", HOSTILE)
def test_doctor_shows_what_it_found_without_harm(name: str) -> None:
    host = Host(name, 4096, 1, 1 << 30)
    checkup = Checkup(Level.COUNTERS, host, (Check("rights", False, name, "much", name), Check("b", True, name)))

    assert harmless(doctor_text(checkup, PLAIN))
    assert json.loads(dumped(doctor_json(checkup)))["checks"][1]["found"] == name


def test_the_verifiers_words_keep_their_lines() -> None:
    refused = Limitation("refused", "Invalid argument; the verifier says:\n0: (b7) r0 = 0\n1: (95) \x1b[31mexit", "try")
    observation = replace(observation_called("x"), level=Level.COUNTERS, limitations=(refused,))

    text = why_text(explain(observation), PLAIN)

    assert text.endswith(
        "Level counters, not exact:\n"
        "refused: Invalid argument; the verifier says:\n"
        "  0: (b7) r0 = 0\n"
        "  1: (95) \\x1b[31mexit\n"
        "  To get it: try.\n"
    )


def observation_called(name: str) -> Observation:
    """A target whose every name is this one."""
    cgroup = Cgroup(
        "/" + name, 1, 2, kernel_bytes=1 << 22, kernel_source=name,
        container=Container(name, name, name, name), pod=Pod(name, name, name),
    )  # fmt: skip
    return Observation(
        time=0.0, host=Host(name, 4096, 1, 1 << 30), level=Level.INSIDE, limitations=(Limitation(name, "why", name),),
        target=cgroup.path, cgroups=(cgroup,), census=None, charged=None, processes=(Process(1, name, 2, 3, 4, name),),
    )  # fmt: skip
