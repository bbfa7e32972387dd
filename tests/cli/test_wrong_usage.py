"""Errors say what, why and what to do, exit with the status of the contract, and never with a traceback."""

from pathlib import Path

import pytest

from tests.cli.running import CAPTURE, kmemscope

FROM = ["--from", str(CAPTURE)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["explain"], "invalid choice: 'explain'"),
        (["--jsn"], "unrecognized arguments: --jsn"),
        (["why", "a", "b"], "unrecognized arguments: b"),
        (["why", "--require", "perfect", "self"], "invalid choice: 'perfect'"),
        (["why", "--from"], "expected one argument"),
        (["capture", "self"], "required: -o/--output"),
        (["schema"], "required: NAME"),
        (["schema", "why"], "invalid choice: 'why'"),
        (["doctor", "self"], "unrecognized arguments: self"),
        (["explain\x1b[2J"], "invalid choice: 'explain\\x1b[2J'"),
    ],
)
def test_words_that_make_no_command(words: list[str], said: str) -> None:
    done = kmemscope(*words)

    assert (done.status, done.out) == (2, "")
    first, second = done.err.splitlines()
    assert first.startswith("kmemscope: ")
    assert said in first
    assert second.startswith("try: kmemscope")
    assert second.endswith(" --help")


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["why"], "why needs a target"),
        (["why", ""], "the target is empty"),
        (["why", *FROM, ""], "the target is empty"),
        (["why", "pid:"], "pid: is not a process number"),
        (["why", "pid:0"], "pid:0 is not a process number"),
        (["why", "pid:-1"], "pid:-1 is not a process number"),
        (["why", "/../etc"], "/../etc leads upwards"),
    ],
)
def test_words_that_are_no_target(words: list[str], what: str) -> None:
    done = kmemscope(*words)

    assert (done.status, done.out) == (2, "")
    assert done.complaint[0] == what
    assert done.complaint[2]


@pytest.mark.parametrize("words", [["why", *FROM, "nobody"], ["why", *FROM, "/gone"], ["why", *FROM, "pid:1"]])
def test_a_target_that_the_capture_lacks(words: list[str]) -> None:
    done = kmemscope(*words)

    assert (done.status, done.out) == (3, "")
    what, why, todo = done.complaint
    assert what.endswith("was not observed")
    assert why == "candidates: /shop, /shop/orders, /shop/web"
    assert todo


def test_a_target_within_the_capture_is_answered() -> None:
    done = kmemscope("why", *FROM, "/shop/orders")

    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("/shop/orders\n")
    assert "300 × 5.8 KiB: threads" in done.out


@pytest.mark.parametrize("words", [["why"], ["why", "--json"], []], ids=str)
def test_a_capture_that_is_none(words: list[str], damaged: Path) -> None:
    done = kmemscope(*words, "--from", str(damaged))

    assert (done.status, done.out) == (1, "")
    what, why, todo = done.complaint
    assert what.startswith(str(damaged))
    assert why
    assert "kmemscope capture" in todo


def test_a_capture_whose_name_is_hostile(tmp_path: Path) -> None:
    done = kmemscope("why", "--from", f"{tmp_path}/\x1b[2J\n")

    assert done.status == 1
    assert done.complaint[0].endswith("/\\x1b[2J\\x0a cannot be read")


def test_the_level_of_a_capture_is_that_of_its_making() -> None:
    counters = str(CAPTURE.with_name("shop-counters.kms"))

    assert kmemscope("why", *FROM, "--require", "exact").status == 0
    done = kmemscope("why", "--from", counters, "--require", "exact")
    assert (done.status, done.out) == (4, "")
    assert done.complaint[0] == "level exact is not to be had here, only counters"


@pytest.mark.parametrize("before", [True, False])
def test_options_mean_the_same_before_and_behind_the_command(before: bool) -> None:
    words = ["--json", *FROM, "why"] if before else ["why", "--json", *FROM]
    assert kmemscope(*words).out.startswith('{\n  "schema": "kmemscope.explanation/1"')


def test_help_names_every_command() -> None:
    done = kmemscope("--help")

    assert (done.status, done.err) == (0, "")
    for command in ("why", "capture", "doctor", "schema"):
        assert f"\n    {command} " in done.out
        assert kmemscope(command, "--help").status == 0
