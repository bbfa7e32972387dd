"""A user without any rights gets an answer from counters, and the reason; a capture makes no difference to it."""

from pathlib import Path

import pytest

from kmemscope.observe.machine import Machine
from kmemscope.record.capture import write
from tests.captures.answers import WORDS, answers
from tests.cli.running import CAPTURE
from tests.cli.unprivileged import Nobody


def test_why_answers_from_counters(nobody: Nobody) -> None:
    done = nobody.kmemscope("why", "self")

    assert (done.status, done.err) == (0, "")
    assert "not exact:" in done.out
    assert "To get it: run as root" in done.out


def test_the_whole_node_is_shown(nobody: Nobody) -> None:
    done = nobody.kmemscope()

    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("CONTAINER OR CGROUP")


def test_the_doctor_says_what_is_missing(nobody: Nobody) -> None:
    done = nobody.kmemscope("doctor")

    assert (done.status, done.err) == (0, "")
    assert "NO  rights: user 65534" in done.out
    assert "NO  census programs: " in done.out


@pytest.mark.parametrize("words", [["why", "self"], ["doctor"], []], ids=str)
def test_a_required_level_is_not_met(nobody: Nobody, words: list[str]) -> None:
    done = nobody.kmemscope(*words, "--require", "exact")

    assert (done.status, done.out) == (4, "")
    what, why, todo = done.complaint
    assert what.startswith("level exact is not to be had here")
    assert why
    assert "root" in todo


def test_a_capture_can_be_made_and_read(nobody: Nobody) -> None:
    folder = nobody.folder / "open"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)

    made = nobody.kmemscope("capture", "self", "-o", str(folder / "x.kms"))
    read = nobody.kmemscope("why", "--from", str(folder / "x.kms"))

    assert (made.status, made.err) == (0, "")
    assert (read.status, read.err) == (0, "")


def test_a_capture_that_may_not_be_written_or_read(nobody: Nobody, tmp_path: Path) -> None:
    secret = nobody.folder / "secret.kms"
    secret.write_bytes(CAPTURE.read_bytes())
    secret.chmod(0o600)

    written = nobody.kmemscope("capture", "self", "-o", str(nobody.folder / "x.kms"))
    read = nobody.kmemscope("why", "--from", str(secret))

    for done in (written, read):
        assert (done.status, done.out) == (1, "")
        assert done.complaint[1] == "Permission denied"
    assert not (nobody.folder / "x.kms").exists()


def test_nobody_says_of_a_capture_what_was_said_live(nobody: Nobody) -> None:
    with Machine.open(Path("/")) as machine:
        live = machine.look_at("self")
    capture = nobody.folder / "live.kms"
    write(live, capture)
    capture.chmod(0o644)

    for name, text in answers(live).items():
        done = nobody.kmemscope(*WORDS[name], "--from", str(capture))
        assert (done.status, done.err) == (0, ""), name
        assert done.out == text, name
