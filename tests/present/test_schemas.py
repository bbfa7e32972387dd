import json
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from kmemscope.cli.schema import NAMES
from kmemscope.explain.diagnosis import explain, view
from kmemscope.model.checkup import Check, Checkup
from kmemscope.model.kinds import Kind, Reclaimable
from kmemscope.model.node import Host, Level
from kmemscope.model.observation import Observation
from kmemscope.present.as_json import doctor_json, node_json, why_json
from kmemscope.record.capture import read
from tests.captures.answers import FOLDER
from tests.present.promised import EXPLANATION
from tests.strategies import hostile_observations, observations

Json = dict[str, Any]


def schema(name: str) -> Json:
    return json.loads((resources.files("kmemscope.present") / "schemas" / f"{name}.json").read_text())


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(schema(name))


def parts(value: Any, place: str = "") -> Iterator[tuple[str, Json]]:
    """Every schema inside of a schema, with its place."""
    if isinstance(value, dict):
        if place.rpartition("/")[2] not in {"properties", "$defs"}:
            yield place, value
        for key, each in value.items():
            yield from parts(each, f"{place}/{key}")
    elif isinstance(value, list):
        for each in value:
            yield from parts(each, f"{place}/[]")


def resolved(part: Json, whole: Json) -> Json:
    return whole["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part


def lacking(promised: Any, part: Json, whole: Json, place: str = "") -> Iterator[str]:
    """Keys that were promised and that a schema does not require, with their places."""
    part = resolved(part, whole)
    if isinstance(promised, list):
        yield from lacking(promised[0], part["items"], whole, place + "[]")
    elif isinstance(promised, dict):
        for key, inner in promised.items():
            if key in part.get("required", []):
                yield from lacking(inner, part["properties"][key], whole, f"{place}.{key}")
            else:
                yield f"{place}.{key}"


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_a_schema(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))
    assert schema(name)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("name", NAMES)
def test_every_key_is_described_in_a_sentence(name: str) -> None:
    for place, part in parts(schema(name)):
        if place.rpartition("/")[0].endswith(("/properties", "/$defs")) or not place:
            assert part["description"][-1] == ".", place


@pytest.mark.parametrize("name", NAMES)
def test_keys_may_be_added(name: str) -> None:
    assert not [place for place, part in parts(schema(name)) if "additionalProperties" in part]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_required_is_described_and_every_definition_is_used(name: str) -> None:
    whole = schema(name)
    for place, part in parts(whole):
        assert set(part.get("required", [])) <= set(part.get("properties", {})), place
    used = {part["$ref"].rpartition("/")[2] for _, part in parts(whole) if "$ref" in part}
    assert used == set(whole["$defs"])


def test_all_that_was_promised_is_required() -> None:
    assert list(lacking(EXPLANATION, schema("explanation"), schema("explanation"))) == []


def test_a_missing_promise_is_noticed() -> None:
    assert list(lacking({"a": 0, "b": [{"c": 0}]}, {"required": ["b"], "properties": {"b": {"items": {}}}}, {})) == [
        ".a",
        ".b[].c",
    ]


@pytest.mark.parametrize(
    ("definition", "values"), [("kind", Kind), ("reclaimable", Reclaimable)], ids=["kinds", "reclaimable"]
)
def test_enumerations_have_all_values_of_the_model(definition: str, values: type[Kind | Reclaimable]) -> None:
    assert set(schema("explanation")["$defs"][definition]["enum"]) == {each.value for each in values}


@pytest.mark.parametrize("name", NAMES)
def test_levels_are_those_of_the_model(name: str) -> None:
    assert schema(name)["properties"]["level"]["enum"] == [level.value for level in Level]


@given(observations())
def test_every_explanation_is_valid_and_has_no_key_that_is_not_described(observation: Observation) -> None:
    answer = why_json(explain(observation))

    validator("explanation").validate(answer)
    assert list(undescribed(answer, schema("explanation"), schema("explanation"))) == []


@given(hostile_observations())
def test_every_node_is_valid_and_has_no_key_that_is_not_described(observation: Observation) -> None:
    answer = node_json(view(observation))

    validator("node").validate(answer)
    assert list(undescribed(answer, schema("node"), schema("node"))) == []


def test_a_checkup_is_valid_and_has_no_key_that_is_not_described() -> None:
    answer = doctor_json(
        Checkup(Level.INSIDE, Host("6.18", 4096, 2, 1), (Check("rights", False, "user 1000", "a", "b"),))
    )

    validator("doctor").validate(answer)
    assert list(undescribed(answer, schema("doctor"), schema("doctor"))) == []


@pytest.mark.parametrize("capture", sorted(FOLDER.glob("*.kms")), ids=lambda path: path.stem)
def test_the_golden_answers_are_valid(capture: Any) -> None:
    validator("explanation").validate(json.loads((FOLDER / f"{capture.stem}.why.json").read_text()))
    validator("node").validate(json.loads((FOLDER / f"{capture.stem}.node.json").read_text()))


@pytest.mark.parametrize("key", ["schema", "level", "account", "host"])
def test_an_answer_that_lacks_a_key_is_not_valid(key: str) -> None:
    answer = why_json(explain(read(FOLDER / "shop.kms")))
    del answer[key]
    assert not validator("explanation").is_valid(answer)


def undescribed(value: Any, part: Json, whole: Json, place: str = "") -> Iterator[str]:
    """Keys of an answer that its schema does not describe, with their places."""
    part = resolved(part, whole)
    if isinstance(value, list):
        for each in value:
            yield from undescribed(each, part["items"], whole, place + "[]")
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key in part.get("properties", {}):
                yield from undescribed(inner, part["properties"][key], whole, f"{place}.{key}")
            else:
                yield f"{place}.{key}"
