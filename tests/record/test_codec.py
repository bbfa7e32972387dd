import dataclasses
import json

import pytest
from hypothesis import given

from kmemscope.model.node import Cgroup, Level
from kmemscope.model.observation import Observation
from kmemscope.record.codec import build, plain
from tests.record.looks import FULL
from tests.strategies import hostile_observations, observations


def thawed(value: object) -> object:
    """Through JSON text and back: what a file does to plain values."""
    return json.loads(json.dumps(value))


def test_the_example_leaves_no_field_at_its_default() -> None:
    for value in (FULL, FULL.cgroups[1], FULL.census):
        for field in dataclasses.fields(value):
            assert getattr(value, field.name) not in (field.default, (), {}, None, 0), field.name


def test_the_example_round_trips() -> None:
    assert build(Observation, thawed(plain(FULL))) == FULL


@given(observations())
def test_every_observation_round_trips(observation: Observation) -> None:
    assert build(Observation, thawed(plain(observation))) == observation


@given(hostile_observations())
def test_every_name_round_trips(observation: Observation) -> None:
    assert build(Observation, thawed(plain(observation))) == observation


def test_what_a_newer_version_added_is_passed_over_and_what_an_older_lacks_takes_its_default() -> None:
    assert build(Cgroup, {"path": "/", "id": 1, "version": 2, "colour": "blue"}) == Cgroup("/", 1, 2)


def test_whole_numbers_stand_for_seconds() -> None:
    observation = build(Observation, {**plain(FULL), "time": 5})
    assert isinstance(observation.time, float)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("time", "now"),
        ("time", None),
        ("time", float("nan")),
        ("time", float("inf")),
        ("time", 10**400),
        ("time", True),
        ("level", "perfect"),
        ("level", 1),
        ("target", 5),
        ("cgroups", {}),
        ("cgroups", [5]),
        ("cgroups", [{"path": "/"}]),
        ("cgroups", [{"path": "/", "id": True, "version": 2}]),
        ("cgroups", [{"path": "/", "id": 1 << 70, "version": 2}]),
        ("cgroups", [{"path": "/", "id": 1.5, "version": 2}]),
        ("cgroups", [{"path": "/", "id": 1, "version": 2, "stat": {"slab": "much"}}]),
        ("cgroups", [{"path": "/", "id": 1, "version": 2, "stat": [1]}]),
        ("host", None),
        ("host", []),
        ("processes_left_out", -(1 << 63) - 1),
        ("cgroups", None),
    ],
)
def test_what_does_not_fit_is_refused(place: str, value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        build(Observation, {**plain(FULL), place: value})


@pytest.mark.parametrize("place", ["time", "host", "level", "limitations", "target", "cgroups", "census", "charged"])
def test_what_must_be_there_is_missed(place: str) -> None:
    with pytest.raises(TypeError):
        build(Observation, {name: value for name, value in plain(FULL).items() if name != place})


def test_enumerations_come_back_as_themselves() -> None:
    assert build(Observation, thawed(plain(FULL))).level is Level.EXACT
