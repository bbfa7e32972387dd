"""Captures of real memory are answered as they were; see __main__.py for how to make either anew."""

import gzip
import re
from pathlib import Path

import pytest

from kmemscope.explain.diagnosis import explain
from kmemscope.model.kinds import Kind
from kmemscope.record.capture import read, write
from tests.captures.answers import FOLDER, WORDS, answers
from tests.captures.leak import PIPE_BYTES, PIPES, SOCKET_PAIRS, THREADS
from tests.cli.running import kmemscope

CAPTURES = sorted(FOLDER.glob("*.kms"))
each_capture = pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.name)


def test_there_is_one_with_a_census_and_one_without() -> None:
    assert [path.stem for path in CAPTURES] == ["shop-counters", "shop"]
    assert [read(path).census is not None for path in CAPTURES] == [False, True]


@each_capture
def test_it_is_answered_as_it_was(capture: Path) -> None:
    for name, text in answers(read(capture)).items():
        assert (FOLDER / f"{capture.stem}.{name}").read_text() == text, f"python -m tests.captures shows {name} anew"


@each_capture
@pytest.mark.parametrize("name", WORDS)
def test_the_command_line_says_the_same(capture: Path, name: str) -> None:
    done = kmemscope(*WORDS[name], "--from", str(capture))

    assert (done.status, done.err) == (0, "")
    assert done.out == (FOLDER / f"{capture.stem}.{name}").read_text()


@each_capture
def test_it_is_written_again_byte_for_byte(capture: Path, tmp_path: Path) -> None:
    write(read(capture), tmp_path / "again.kms")

    again = gzip.decompress((tmp_path / "again.kms").read_bytes())
    assert again == gzip.decompress(capture.read_bytes())


@each_capture
def test_it_names_nothing_of_the_machine_it_was_made_on(capture: Path) -> None:
    observation = read(capture)

    assert re.fullmatch(r"\d+(\.\d+)*", observation.host.kernel)
    assert all(re.fullmatch(r"/(shop(/(orders|web))?)?", cgroup.path) for cgroup in observation.cgroups)
    assert {process.comm for process in observation.processes} <= {"python", "python3"}
    if observation.census:
        assert {owner.name for owner in observation.census.owners} <= {"shop", "orders", "web"}


def test_the_account_has_what_the_programs_are_known_to_hold() -> None:
    account = explain(read(FOLDER / "shop.kms")).account
    assert account

    kinds = {row.kind: row.bytes for row in account.kinds}
    objects = {row.type: row.objects for row in account.objects}
    assert 0 <= kinds[Kind.KERNEL_STACK] - THREADS * 16384 <= 4 * 16384
    assert 0 <= kinds[Kind.PIPE_BUFFERS] - PIPES * PIPE_BYTES <= 4 * 4096
    assert 0 <= objects["task_struct"] - THREADS <= 4
    assert objects["sock_inode_cache"] == 2 * SOCKET_PAIRS
    assert account.explained
    assert account.coverage > 0.99
