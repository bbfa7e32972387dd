import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmemscope.model.errors import Damaged, KernelUnsupported, NotPermitted
from kmemscope.observe.bpf import skeleton
from kmemscope.observe.bpf.skeleton import (
    HEADER,
    MAP,
    PROGRAM,
    Description,
    asking,
    describe,
    descriptors,
    load,
    refusal,
)

BLOB = b"datainstructions"
FACTS = {
    "format": skeleton.FORMAT,
    "maps": ["charges", "owners"],
    "programs": ["walk"],
    "data_bytes": 4,
    "sha256": hashlib.sha256(BLOB).hexdigest(),
}
SMALL = Description(("charges",), ("walk",), b"", b"")


def install(folder: Path, facts: object = FACTS, blob: bytes = BLOB) -> None:
    text = facts if isinstance(facts, str) else json.dumps(facts)
    (folder / "x.json").write_text(text)
    (folder / "x.bin").write_bytes(blob)


def context(maps: list[int], programs: list[int]) -> bytes:
    """What a loader of this libbpf leaves behind."""
    return b"".join(
        [HEADER.pack(0, 0, 0, 0, 0), *(MAP.pack(fd, 0, 0) for fd in maps), *(PROGRAM.pack(fd) for fd in programs)]
    )


@contextmanager
def descriptors_of_others() -> Iterator[list[int]]:
    """A file, a pipe, and a number that is no descriptor."""
    reader, writer = os.pipe()
    file = os.open("/dev/null", os.O_RDONLY)
    closed = os.dup(file)
    os.close(closed)
    try:
        yield [file, reader, closed]
    finally:
        for fd in (reader, writer, file):
            os.close(fd)


def test_describes_what_was_built(tmp_path: Path) -> None:
    install(tmp_path)
    assert describe("x", tmp_path) == Description(("charges", "owners"), ("walk",), b"data", b"instructions")


def test_the_package_carries_the_census() -> None:
    built = describe("census")

    assert {"charges", "owners", "caches", "marks", "marking"} <= set(built.maps)
    assert {"walk", "mark_tasks", "mark_pipes", "probe"} <= set(built.programs)
    assert len(built.instructions) % 8 == 0


@pytest.mark.parametrize("missing", ["x.json", "x.bin"])
def test_without_its_files_it_says_how_to_get_them(tmp_path: Path, missing: str) -> None:
    install(tmp_path)
    (tmp_path / missing).unlink()

    with pytest.raises(Damaged, match="not in this installation") as refused:
        describe("x", tmp_path)

    assert missing in refused.value.why
    assert "make build" in refused.value.todo


@pytest.mark.parametrize(
    "facts",
    [
        "",
        "{",
        "[]",
        "5",
        "null",
        '"text"',
        {},
        {**FACTS, "format": skeleton.FORMAT + 1},
        {**FACTS, "sha256": "0" * 64},
        {**FACTS, "sha256": None},
        {**FACTS, "maps": None},
        {**FACTS, "programs": 5},
        {**FACTS, "data_bytes": "all"},
        {**FACTS, "data_bytes": None},
        {name: value for name, value in FACTS.items() if name != "data_bytes"},
    ],
    ids=str,
)
def test_facts_that_are_not_ours_are_refused_in_a_sentence(tmp_path: Path, facts: object) -> None:
    install(tmp_path, facts)

    with pytest.raises(Damaged, match="BPF program 'x'") as refused:
        describe("x", tmp_path)

    assert refused.value.todo


@pytest.mark.parametrize("blob", [b"", BLOB[:-1], BLOB + b"x", BLOB[::-1]])
def test_another_program_than_the_one_that_was_built_is_refused(tmp_path: Path, blob: bytes) -> None:
    install(tmp_path, blob=blob)

    with pytest.raises(Damaged, match="not the one that was built"):
        describe("x", tmp_path)


@given(st.data())
def test_descriptors_of_anything_else_are_refused(data: st.DataObject) -> None:
    with descriptors_of_others() as others:
        fds = st.sampled_from([0, *others, 12345, (1 << 32) - 1])
        with pytest.raises(Damaged, match="returned no bpf-"):
            descriptors(SMALL, context([data.draw(fds)], [data.draw(fds)]))


def test_a_kernel_without_btf_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skeleton, "BTF", tmp_path / "vmlinux")

    with pytest.raises(KernelUnsupported, match="does not describe its types") as refused:
        load("census", {})

    assert "CONFIG_DEBUG_INFO_BTF" in refused.value.why


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES])
def test_missing_rights_name_the_capabilities(number: int) -> None:
    error = refusal(OSError(number, os.strerror(number)), "bpf(2) was refused")

    assert isinstance(error, NotPermitted)
    assert error.what == "bpf(2) was refused"
    assert os.strerror(number) in error.why
    assert ("this is root" in error.why) == (os.geteuid() == 0)
    assert all(name in error.todo for name in ("CAP_BPF", "CAP_PERFMON", "CAP_SYS_ADMIN"))


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.E2BIG])
def test_an_old_kernel_is_told_which_one_is_needed(number: int) -> None:
    error = refusal(OSError(number, os.strerror(number)), "x")

    assert isinstance(error, KernelUnsupported)
    assert error.why == os.strerror(number)
    assert "5.17" in error.todo


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOMEM])
def test_the_verifiers_last_words_are_kept(number: int) -> None:
    log = "\n".join(f"{line}: (b7) r0 = {line}" for line in range(100)) + "\nR1 invalid mem access\n\0\0"

    error = refusal(OSError(number, os.strerror(number)), "x", log)

    assert isinstance(error, KernelUnsupported), "what the verifier refuses, no capability allows"
    first, *words = error.why.split("\n")
    assert first == f"{os.strerror(number)}; the verifier says:"
    assert len(words) == skeleton.LOG_LINES
    assert words[-1] == "R1 invalid mem access"


def test_anything_else_asks_for_a_report() -> None:
    error = refusal(OSError(errno.EBUSY, "busy"), "x")

    assert isinstance(error, KernelUnsupported)
    assert "report" in error.todo


def test_any_no_while_asking_is_a_refusal() -> None:
    with pytest.raises(KernelUnsupported, match="reading a map"), asking("reading a map"):
        raise OSError(errno.ENOSYS, "none")
