import gzip
import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings

from kmemscope.explain.diagnosis import explain
from kmemscope.model.errors import Damaged, OutputFailed
from kmemscope.model.kinds import Kind
from kmemscope.model.observation import Observation
from kmemscope.record import capture
from kmemscope.record.capture import lines, read, write
from tests.record.looks import FULL
from tests.strategies import hostile_observations


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.kms"


def packed(*records: object) -> bytes:
    return gzip.compress(b"".join(json.dumps(record).encode() + b"\n" for record in records))


def written(observation: Observation) -> bytes:
    with TemporaryDirectory() as folder:
        write(observation, Path(folder) / "x.kms")
        return (Path(folder) / "x.kms").read_bytes()


def test_what_was_written_is_read(path: Path) -> None:
    write(FULL, path)
    assert read(path) == FULL


@given(hostile_observations())
@settings(max_examples=30)
def test_any_observation_survives(observation: Observation) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "x.kms"
        write(observation, file)
        assert read(file) == observation


def test_equal_observations_give_equal_bytes() -> None:
    again = replace(
        FULL,
        cgroups=tuple(replace(each, stat=dict(reversed(each.stat.items()))) for each in FULL.cgroups),
    )

    assert again == FULL
    assert written(again) == written(FULL)
    assert written(replace(FULL, seconds=0.5)) != written(FULL)


def test_a_capture_holds_nothing_that_was_concluded(path: Path) -> None:
    write(FULL, path)

    text = gzip.decompress(path.read_bytes()).decode()

    assert explain(FULL).headline not in text
    assert "residual" not in text


def test_it_is_readable_by_its_owner_only_whatever_was_there_before(path: Path) -> None:
    path.write_text("old")
    path.chmod(0o666)
    old = os.umask(0)
    try:
        write(FULL, path)
    finally:
        os.umask(old)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read(path) == FULL


def test_nothing_else_is_left_in_the_folder(path: Path) -> None:
    write(FULL, path)
    write(FULL, path)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("target", ["a file", "a folder", "nothing"])
def test_a_link_is_neither_followed_nor_replaced(path: Path, target: str) -> None:
    other = path.parent / "other"
    if target == "a file":
        other.write_text("precious")
    elif target == "a folder":
        other.mkdir()
    path.symlink_to(other)

    with pytest.raises(OutputFailed, match="could not be written") as refused:
        write(FULL, path)

    assert "not a plain file" in refused.value.why
    assert path.is_symlink()
    assert target != "a file" or other.read_text() == "precious"


def test_a_device_or_a_pipe_is_not_replaced(path: Path) -> None:
    os.mkfifo(path)

    for special in (path, Path("/dev/null")):
        with pytest.raises(OutputFailed):
            write(FULL, special)

    assert path.is_fifo()
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("name", ["missing/x.kms", "file/x.kms", "folder", "n" * 300, ".", "/"])
def test_where_nothing_can_be_written_it_says_so_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()

    with pytest.raises(OutputFailed) as refused:
        write(FULL, tmp_path / name)

    assert refused.value.why
    assert refused.value.todo
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "folder"]


def test_a_failure_half_way_leaves_the_old_capture(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(FULL, path)
    before = path.read_bytes()
    unwritable = replace(FULL, limitations=(object(),) * 3)  # no JSON: fails after the first line

    with pytest.raises(TypeError):
        write(unwritable, path)

    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_cut_at_any_byte_it_is_damaged(path: Path) -> None:
    whole = written(FULL)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(Damaged, match=path.name):
            read(path)


def test_cut_at_any_line_it_is_damaged(path: Path) -> None:
    records = list(lines(FULL))
    for length in range(len(records)):
        path.write_bytes(packed(*records[:length]))
        with pytest.raises(Damaged, match=path.name):
            read(path)


def test_with_any_byte_changed_it_is_damaged(path: Path) -> None:
    whole = written(FULL)
    for at in range(10, len(whole)):  # the ten before are gzip's header: time, system, flags
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        with pytest.raises(Damaged, match=path.name):
            read(path)


FIRST, SECOND, *_ = RECORDS = list(lines(FULL))


def with_second(**fields: object) -> bytes:
    """The example, with other values in its observation."""
    return packed(FIRST, {"observation": {**SECOND["observation"], **fields}}, *RECORDS[2:])


FOREIGN: dict[str, bytes] = {
    "empty": b"",
    "text": b"kernel_stack 16384\n",
    "a gzip of text": gzip.compress(b"kernel_stack 16384\n"),
    "a gzip of nothing": gzip.compress(b""),
    "a gzip of no text": gzip.compress(bytes(range(256))),
    "another's JSON": packed({"format": "other", "version": 1}, {"end": 1}),
    "a list": packed([1, 2], [3]),
    "numbers": packed(1, 2, 3),
    "deeper than any JSON": gzip.compress(b"[" * 100_000),
    "the first line alone": packed({**FIRST, "end": 0}),
    "no observation": packed(FIRST, {}, {"end": 2}),
    "an observation that is none": packed(FIRST, {"observation": [1]}, {"end": 2}),
    "no version": packed({"format": FIRST["format"]}, *RECORDS[1:]),
    "a version that is no number": packed({**FIRST, "version": "1"}, *RECORDS[1:]),
    "a version that is true": packed({**FIRST, "version": True}, *RECORDS[1:]),
    "lists that are none": with_second(cgroups="ab"),
    "charges without a census": packed(
        FIRST, {"observation": {**RECORDS[1]["observation"], "census": None}}, *RECORDS[2:]
    ),
    "an endless number": gzip.compress(b'{"format": ' + b"9" * 10_000 + b"}"),
    "numbers that are none": packed(
        FIRST, {"observation": {**RECORDS[1]["observation"], "time": float("nan")}}, *RECORDS[2:]
    ),
    "rubbish after its end": written(FULL) + b"rubbish",
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN.keys())
def test_what_is_no_capture_is_refused_by_name_with_a_remedy(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    with pytest.raises(Damaged, match=path.name) as refused:
        read(path)

    assert refused.value.todo
    assert len(refused.value.why) < 300


def test_a_newer_version_is_refused_with_the_version_that_can_read_it(path: Path) -> None:
    path.write_bytes(packed({**FIRST, "version": capture.VERSION + 1, "written_by": "9.1"}, *RECORDS[1:]))

    with pytest.raises(Damaged, match=r"newer kmemscope \(9\.1\)") as refused:
        read(path)

    assert "later" in refused.value.todo


def test_what_a_later_release_of_the_same_version_adds_is_passed_over(path: Path) -> None:
    added = [
        {"thread": {"pid": 1}},
        {
            "charge": RECORDS[4]["charge"]
            if "charge" in RECORDS[4]
            else next(r for r in RECORDS if "charge" in r)["charge"],
            "thread": 2,
        },
    ]
    path.write_bytes(packed(*RECORDS[:-1], *added, {"end": len(RECORDS) + 1}))

    found = read(path)

    assert found.census and FULL.census
    assert len(found.census.charges) == len(FULL.census.charges) + 1
    assert replace(found, census=FULL.census) == FULL


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.symlink_to(path), "symbolic links"),
    ],
    ids=["missing", "circle"],
)
def test_what_cannot_be_opened_is_refused_with_the_reason(path: Path, make: Callable[[Path], None], why: str) -> None:
    make(path)

    with pytest.raises(Damaged, match="cannot be read") as refused:
        read(path)

    assert why in refused.value.why


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "fifo"])
def test_what_is_no_plain_file_is_refused_at_once(path: Path, make: Callable[[Path], None]) -> None:
    make(path)

    with pytest.raises(Damaged, match="is not a capture") as refused:
        read(path)

    assert refused.value.why == "it is not a plain file"


def test_what_would_fill_memory_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "LARGEST_BYTES", 1 << 20)
    path.write_bytes(gzip.compress(bytes(2 << 20)))

    with pytest.raises(Damaged, match="larger than any capture"):
        read(path)


def test_the_kernels_rows_are_kinds_again_after_reading(tmp_path: Path) -> None:
    file = tmp_path / "rows.kms"
    write(FULL, file)
    census = read(file).census

    assert census
    assert [type(kind) for owner in census.owners for kind in owner.rows] == [Kind]
