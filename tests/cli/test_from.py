"""--from never touches the machine, and --version next to nothing."""

import json
import sys

import pytest

from tests.captures.answers import WORDS
from tests.cli.running import CAPTURE, Done, environment, kmemscope, run

WATCHED = """
import os, sys

def refuse(event, arguments):
    path = os.fsdecode(arguments[0]) if arguments and isinstance(arguments[0], (str, bytes)) else ""
    if path.startswith(("/proc", "/sys", "/dev")) or event.startswith(("ctypes", "socket", "subprocess")):
        raise RuntimeError(f"{event} {arguments}")

from kmemscope.cli import main
sys.addaudithook(refuse)
status = main(sys.argv[1:])
assert not [name for name in sys.modules if name.startswith("kmemscope.observe")]
sys.exit(status)
"""
"""Runs the command line in a process that may not look at the machine."""


def watched(*words: str) -> Done:
    return run([sys.executable, "-c", WATCHED, *words], env=environment())


@pytest.mark.parametrize("words", [*WORDS.values(), ["why", "/shop/web"]], ids=" ".join)
def test_an_answer_from_a_capture_looks_at_nothing_else(words: list[str]) -> None:
    done = watched(*words, "--from", str(CAPTURE))

    assert (done.status, done.err) == (0, "")
    assert done == kmemscope(*words, "--from", str(CAPTURE))


@pytest.mark.parametrize("words", [["why", "self"], [], ["doctor"]], ids=str)
def test_a_live_answer_cannot_be_had_like_that(words: list[str]) -> None:
    done = watched(*words)

    assert done.status != 0
    assert "RuntimeError" in done.err


def test_version_loads_next_to_nothing() -> None:
    code = "import sys; from kmemscope.cli import main; main(['--version']); print(*sys.modules)"

    version, modules = run([sys.executable, "-c", code], env=environment()).out.splitlines()

    assert version.startswith("kmemscope ")
    loaded = {name for name in modules.split() if name.startswith("kmemscope")}
    assert loaded <= {"kmemscope", "kmemscope.cli", "kmemscope.cli.output", "kmemscope.model", "kmemscope.model.errors"}


@pytest.mark.parametrize("words", [["--version"], ["--json", "--version"]], ids=str)
def test_version_is_that_of_the_package(words: list[str]) -> None:
    from kmemscope import __version__  # noqa: PLC0415

    assert kmemscope(*words) == Done(0, f"kmemscope {__version__}\n", "")


@pytest.mark.parametrize("name", ["explanation", "node", "doctor"])
def test_schemas_are_written_as_they_are(name: str) -> None:
    done = kmemscope("schema", name)

    assert (done.status, done.err) == (0, "")
    assert json.loads(done.out)["title"] == f"kmemscope.{name}/1"
