"""Maps of the real kernel: what is written is read, and sizes that are not ours are noticed before they do harm."""

import errno
import os
import struct
from collections.abc import Iterator

import pytest

from kmemscope.model.errors import Damaged
from kmemscope.observe.bpf import syscalls
from kmemscope.observe.bpf.skeleton import Description, Loaded, check_sizes, descriptors
from tests.observe.bpf.test_skeleton import context

ENTRIES = 20_000
NUMBER = struct.Struct("=Q")


@pytest.fixture
def table() -> Iterator[int]:
    """A hash map of u64 -> u64."""
    try:
        fd = syscalls.map_create(syscalls.MAP_TYPE_HASH, 8, 8, ENTRIES, b"kmemscope_test")
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOSYS):
            pytest.skip("needs bpf(2)")
        raise
    yield fd
    os.close(fd)


def test_what_is_written_is_read(table: int) -> None:
    syscalls.map_update(table, NUMBER.pack(7), NUMBER.pack(49))

    assert syscalls.map_lookup(table, NUMBER.pack(7), 8) == NUMBER.pack(49)
    with pytest.raises(OSError, match="No such file"):
        syscalls.map_lookup(table, NUMBER.pack(8), 8)


@pytest.mark.parametrize("count", [0, 1, syscalls.BATCH_ENTRIES, syscalls.BATCH_ENTRIES + 1, ENTRIES])
def test_a_whole_map_is_read_once_and_then_empty_if_asked(table: int, count: int) -> None:
    expected = {(key,): (key * key,) for key in range(count)}
    for (key,), (value,) in expected.items():
        syscalls.map_update(table, NUMBER.pack(key), NUMBER.pack(value))

    for empty in (False, True):
        found = list(syscalls.map_items(table, NUMBER, NUMBER, empty=empty))
        assert len(found) == count
        assert dict(found) == expected
    assert list(syscalls.map_items(table, NUMBER, NUMBER, empty=True)) == []


def test_sizes_that_are_not_ours_are_refused(table: int) -> None:
    loaded = Loaded({"owners": table}, {})

    check_sizes(loaded, {"owners": (8, 8)})
    for sizes in ((8, 88), (4, 8)):
        with pytest.raises(Damaged, match="'owners' is not of this version") as refused:
            check_sizes(loaded, {"owners": sizes})
        assert "make build" in refused.value.todo


def test_a_map_is_taken_for_a_map_and_not_for_a_program(table: int) -> None:
    assert descriptors(Description(("charges",), (), b"", b""), context([table], [])).maps == {"charges": table}
    with pytest.raises(Damaged, match="no bpf-prog for 'walk'"):
        descriptors(Description((), ("walk",), b"", b""), context([], [table]))
