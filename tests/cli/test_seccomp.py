"""Where bpf(2) is refused, an answer is given from counters, with the reason and the remedy."""

import errno
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import Done, environment, run

REPOSITORY = Path(__file__).parents[2]
REASONS = [
    (errno.EPERM, "Operation not permitted", "CAP_BPF"),
    (errno.ENOSYS, "Function not implemented", "5.17"),
]
refused = pytest.mark.parametrize(("number", "reason", "remedy"), REASONS, ids=["EPERM", "ENOSYS"])


def under_seccomp(number: int, *words: str, **more: Any) -> Done:
    command = [sys.executable, "-m", "tests.cli.refusing", str(number), sys.executable, "-m", "kmemscope", *words]
    paths = f"{REPOSITORY}{os.pathsep}{environment()['PYTHONPATH']}"
    return run(command, env=environment(PYTHONPATH=paths), **more)


@refused
def test_why_answers_from_counters_and_says_why(number: int, reason: str, remedy: str) -> None:
    done = under_seccomp(number, "why", "self")

    assert (done.status, done.err) == (0, "")
    assert "Level counters, not exact:" in done.out or "Level inside, not exact:" in done.out
    last = done.out.rstrip("\n").split("\n")[-1]
    assert last.startswith(f"bpf(2) was refused: {reason}")
    assert remedy in last.partition("To get it: ")[2]


@refused
def test_json_says_it_too(number: int, reason: str, remedy: str) -> None:
    answer = json.loads(under_seccomp(number, "why", "self", "--json").out)

    assert answer["level"] in {"counters", "inside"}
    assert answer["account"] is None
    assert "counters alone" in answer["no_account"] or "keeps no number" in answer["no_account"]
    (limitation, *_) = answer["limitations"]
    assert limitation["what"] == "bpf(2) was refused"
    assert reason in limitation["why"]
    assert remedy in limitation["todo"]


@refused
def test_a_required_level_is_not_met(number: int, reason: str, remedy: str) -> None:
    for words in (["why", "self"], ["capture", "self", "-o", "/tmp/never-written.kms"], ["doctor"], []):
        done = under_seccomp(number, *words, "--require", "exact")

        assert (done.status, done.out) == (4, ""), words
        what, why, todo = done.complaint
        assert what.startswith("level exact is not to be had here, only ")
        assert reason in why
        assert todo


@refused
def test_the_level_that_can_be_had_can_be_required(number: int, reason: str, remedy: str) -> None:
    assert under_seccomp(number, "why", "self", "--require", "inside").status == 0


@refused
def test_the_table_and_the_doctor_say_it(number: int, reason: str, remedy: str) -> None:
    table = under_seccomp(number)
    doctor = under_seccomp(number, "doctor")

    assert (table.status, doctor.status) == (0, 0)
    assert f"bpf(2) was refused: {reason}" in table.out
    assert f"NO  census programs: bpf(2) was refused: {reason}" in doctor.out
    assert remedy in doctor.out
