import errno
import os
import resource
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmemscope.observe.hostfs import Absence, HostFs, open_directory, read_at, to_bytes, to_text


@given(st.binary(max_size=64))
def test_any_file_name_survives_as_text(name: bytes) -> None:
    assert to_bytes(to_text(name)) == name


@given(st.text(max_size=32))
def test_any_text_can_be_asked_for(text: str) -> None:
    assert isinstance(HostFs(Path("/nowhere")).read("/" + text, 16), bytes | None)


def test_reads_a_whole_file_up_to_the_bound_and_nothing_of_a_larger_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100)
    hostfs = HostFs(tmp_path)
    assert hostfs.read("/file", 100) == b"x" * 100
    assert hostfs.read("/file", 99) is None


@pytest.mark.parametrize(
    ("content", "most", "lines"),
    [
        (b"one\ntwo\n", 100, [b"one", b"two"]),
        (b"one\ntwo", 100, [b"one", b"two"]),
        (b"one\ntwo\n", 6, [b"one"]),
        (b"one\ntwo\n", 7, [b"one", b"two"]),
        (b"one\ntwo\n", 8, [b"one", b"two"]),
        (b"", 8, []),
        (b"longer than the bound", 5, []),
    ],
)
def test_a_line_that_the_bound_cuts_is_left_out(tmp_path: Path, content: bytes, most: int, lines: list[bytes]) -> None:
    (tmp_path / "file").write_bytes(content)
    assert HostFs(tmp_path).read_lines("/file", most) == lines


def test_links_pipes_and_directories_give_nothing_and_do_not_block(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "link").symlink_to("secret")
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    hostfs = HostFs(tmp_path)
    for name in ("/link", "/directory", "/pipe"):
        assert hostfs.read(name, 100) is None
        assert hostfs.absence(name) is Absence.UNREADABLE
    assert HostFs(Path("/dev")).read("/zero", 100) is None


def test_tells_why_a_file_gives_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    hostfs = HostFs(tmp_path)
    assert hostfs.absence("/file") is None
    assert hostfs.absence("/other") is Absence.MISSING
    assert hostfs.absence("/file/below") is Absence.MISSING
    assert hostfs.absence("/" + "x" * 5000) is Absence.MISSING
    assert hostfs.absence("/nul\0") is Absence.MISSING


def test_a_file_of_an_ended_process_is_gone() -> None:
    child = os.fork()
    if not child:
        signal.pause()
    directory = open_directory(b"/proc/%d" % child)
    assert directory is not None
    try:
        assert read_at(directory, b"comm", 64) is not None
        os.kill(child, 9)
        os.waitpid(child, 0)
        assert read_at(directory, b"comm", 64) is None
    finally:
        os.close(directory)


def test_running_out_of_descriptors_is_not_taken_for_an_absent_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    hostfs = HostFs(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(OSError) as caught:
            hostfs.read("/file", 100)
        with pytest.raises(OSError):
            open_directory(os.fsencode(tmp_path))
        with pytest.raises(OSError):
            hostfs.names("/", 10)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.errno == errno.EMFILE


def test_lists_names_sorted_and_bounded(tmp_path: Path) -> None:
    for name in "cab":
        (tmp_path / name).touch()
    assert HostFs(tmp_path).names("/", 10) == ["a", "b", "c"]
    assert len(HostFs(tmp_path).names("/", 2) or ()) == 2
    assert HostFs(tmp_path).names("/none", 2) is None


def test_reads_proc_files_whose_size_is_zero() -> None:
    assert b"MemTotal" in (HostFs().read("/proc/meminfo", 1 << 16) or b"")


def test_knows_whether_proc_numbers_processes_as_we_do(tmp_path: Path) -> None:
    assert HostFs().same_pids
    (tmp_path / "proc").mkdir()
    assert HostFs(tmp_path).same_pids  # recorded: nothing contradicts
    (tmp_path / "proc/self").symlink_to("99999999")
    assert not HostFs(tmp_path).same_pids
