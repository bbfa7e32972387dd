"""Whatever stands in the place of a terminal, an answer is given whole or its absence is said; never a traceback."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import CAPTURE, Done, environment, kmemscope, run

WHY = ["why", "--from", str(CAPTURE)]
ALL = pytest.mark.parametrize(
    "words",
    [WHY, [*WHY, "--json"], ["schema", "node"], ["--help"], ["--version"]],
    ids=["why", "why --json", "schema", "--help", "--version"],
)
UNBUFFERED = pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])


@ALL
@UNBUFFERED
def test_a_reader_that_has_seen_enough_ends_it_quietly(words: list[str], unbuffered: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)

    done = kmemscope(*words, stdout=writer, env=environment(PYTHONUNBUFFERED=unbuffered))

    os.close(writer)
    assert (done.status, done.err) == (141, "")


def test_head_sees_what_it_wants() -> None:
    done = run(["sh", "-c", '"$0" -m kmemscope "$@" | head -n 1', sys.executable, *WHY, "-v"], env=environment())
    assert (done.out, done.err) == ("/shop\n", "")


@ALL
@UNBUFFERED
def test_a_full_disk_is_said(words: list[str], unbuffered: str) -> None:
    with open("/dev/full", "wb") as full:
        done = kmemscope(*words, stdout=full, env=environment(PYTHONUNBUFFERED=unbuffered))

    assert done.status == 1
    what, why, todo = done.complaint
    assert (what, why) == ("the answer could not be written to standard output", "No space left on device")
    assert todo


@ALL
def test_a_closed_output_is_said(words: list[str]) -> None:
    done = run(["sh", "-c", '"$0" -m kmemscope "$@" >&-', sys.executable, *words], env=environment())

    assert done.status == 1
    what, why, _ = done.complaint
    assert (what, why) == ("the answer could not be written to standard output", "it is closed")


def test_an_error_goes_nowhere_else_when_standard_error_is_closed(damaged: Path) -> None:
    command = ["sh", "-c", '"$0" -m kmemscope "$@" 2>&-', sys.executable, "why", "--from", str(damaged)]
    assert run(command, env=environment()) == Done(1, "", "")


def test_an_error_that_nobody_can_read_keeps_its_exit_status(damaged: Path) -> None:
    with open("/dev/full", "wb") as full:
        assert kmemscope("explain", stderr=full).status == 2
        assert kmemscope("why", stderr=full).status == 2
        assert kmemscope("why", "--from", str(damaged), stderr=full).status == 1


def test_what_the_encoding_lacks_is_written_as_escapes() -> None:
    done = kmemscope(*WHY, env=environment(LC_ALL="C", LANG="C", PYTHONIOENCODING="ascii"))

    assert (done.status, done.err) == (0, "")
    assert done.out.isascii()
    assert "300 \\xd7 5.8 KiB: threads" in done.out


def test_json_is_the_same_in_every_encoding() -> None:
    plain = kmemscope(*WHY, "--json")
    ascii_only = kmemscope(*WHY, "--json", env=environment(LC_ALL="C", PYTHONIOENCODING="ascii"))

    assert plain.out.isascii()
    assert plain == ascii_only


@pytest.mark.parametrize(
    ("words", "more", "coloured"),
    [
        ([], {}, True),
        (["--no-color"], {}, False),
        ([], {"NO_COLOR": "1"}, False),
        ([], {"NO_COLOR": ""}, True),
        (["--json"], {}, False),
    ],
)
def test_colours_are_for_terminals_that_want_them(words: list[str], more: dict[str, str], coloured: bool) -> None:
    master, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "kmemscope", *WHY, *words], stdout=terminal, stderr=terminal, env=environment(**more)
    ) as process:
        os.close(terminal)
        said = b""
        while part := read_terminal(master):
            said += part
    os.close(master)

    assert process.returncode == 0
    assert b"shop" in said
    assert (b"\x1b[" in said) == coloured


def read_terminal(master: int) -> bytes:
    """A part of what was written to a terminal; nothing when its last writer has gone (EIO)."""
    try:
        return os.read(master, 65536)
    except OSError:
        return b""


def test_nothing_is_coloured_in_a_pipe() -> None:
    assert "\x1b" not in kmemscope(*WHY).out
