import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmemscope.observe.memory_files import (
    kernel_of,
    parse_limit_v1,
    parse_number,
    parse_rows,
)
from tests.observe.fake_host import V1_FILES, V2_FILES, FakeHost


@given(st.integers(0, 2**64 - 1))
def test_any_number_of_the_kernel(number: int) -> None:
    assert parse_number(b"%d\n" % number) == number


@given(st.binary())
def test_anything_else_is_no_number(data: bytes) -> None:
    number = parse_number(data)
    assert number is None or data.strip().lstrip(b"0") in {b"%d" % number, b""}


@pytest.mark.parametrize("data", [None, b"", b"\n", b"max\n", b"-1\n", b"+1", b"1_0", b"1 2", b"1" * 5000, b"\xb2"])
def test_no_number(data: bytes | None) -> None:
    assert parse_number(data) is None


@pytest.mark.parametrize("page", [4096, 16384, 65536])
def test_no_limit_v1_whatever_the_page_size(page: int) -> None:
    assert parse_limit_v1(b"%d\n" % ((2**63 - 1) // page * page)) is None


@pytest.mark.parametrize("limit", [0, 4096, 512 << 20, 1 << 62])
def test_limits_v1(limit: int) -> None:
    assert parse_limit_v1(b"%d\n" % limit) == limit


def test_limits_v1_of_old_kernels() -> None:
    assert parse_limit_v1(b"9223372036854775807\n") is None
    assert parse_limit_v1(b"18446744073709551615\n") is None


_NAMES = st.text("abcdefghijklmnopqrstuvwxyz_0123456789", min_size=1)
_ROWS = st.dictionaries(_NAMES, st.integers(0, 2**64 - 1))


@given(_ROWS)
def test_rows_as_the_kernel_prints_them(rows: dict[str, int]) -> None:
    assert parse_rows("".join(f"{name} {number}\n" for name, number in rows.items()).encode()) == rows


@given(_ROWS, st.integers(0))
def test_a_cut_file_gives_no_wrong_row(rows: dict[str, int], at: int) -> None:
    text = "".join(f"{name} {number}\n" for name, number in rows.items()).encode()
    cut = parse_rows(text[: at % (len(text) + 1)])
    assert cut.items() <= rows.items()


@given(st.binary())
def test_no_rows_are_too_strange(data: bytes) -> None:
    assert all(name and number >= 0 for name, number in parse_rows(data).items())


def test_rows_that_are_none_are_left_out() -> None:
    assert parse_rows(b"a 1\nb\n\nc x\n d 2\ne 1 2\nf -1\ng " + b"9" * 5000 + b"\nh 8\n") == {"a": 1, "h": 8}


def test_the_kernel_row_is_taken_as_it_is() -> None:
    assert kernel_of({"kernel": 100, "slab": 7}) == (100, "memory.stat: kernel")


@pytest.mark.parametrize(
    ("rows", "kernel", "source"),
    [
        # Ubuntu 20.04's 5.4, 5.11, 5.17: mm/memcontrol.c memory_stats[] of each
        (
            {
                "anon": 1,
                "kernel_stack": 16,
                "sock": 5,
                "slab_reclaimable": 1,
                "slab_unreclaimable": 3,
                "slab": 4,
            },
            20,
            "memory.stat: kernel_stack + slab",
        ),
        (
            {"kernel_stack": 16, "pagetables": 8, "percpu": 2, "slab": 4},
            30,
            "memory.stat: kernel_stack + pagetables + percpu + slab",
        ),
        (
            {
                "kernel_stack": 16,
                "pagetables": 8,
                "percpu": 2,
                "vmalloc": 32,
                "slab": 4,
                "sec_pagetables": 64,
            },
            126,
            "memory.stat: kernel_stack + pagetables + sec_pagetables + percpu + vmalloc + slab",
        ),
        ({"anon": 1, "file": 2}, None, None),
    ],
)
def test_without_the_kernel_row_the_parts_are_added_and_named(
    rows: dict[str, int], kernel: int | None, source: str | None
) -> None:
    assert kernel_of(rows) == (kernel, source)


def test_reads_a_cgroup_of_version_1(v1: FakeHost) -> None:
    directory = v1.cgroup("/docker/abc")
    cgroup = v1.hierarchy.read("/docker/abc")
    assert cgroup is not None
    assert (cgroup.path, cgroup.id, cgroup.version) == ("/docker/abc", directory.stat().st_ino, 1)
    assert (cgroup.usage_bytes, cgroup.limit_bytes, cgroup.kernel_bytes, cgroup.sock_bytes) == (
        1048576,
        None,
        65536,
        4096,
    )
    assert cgroup.kernel_source == "memory.kmem.usage_in_bytes"
    assert cgroup.stat == {}
    assert cgroup.dying_descendants is None


def test_reads_a_cgroup_of_version_2(v2: FakeHost) -> None:
    directory = v2.cgroup("/docker/abc", **{"memory.max": "2097152\n"})
    cgroup = v2.hierarchy.read("/docker/abc")
    assert cgroup is not None
    assert (cgroup.path, cgroup.id, cgroup.version) == ("/docker/abc", directory.stat().st_ino, 2)
    assert (cgroup.usage_bytes, cgroup.limit_bytes, cgroup.kernel_bytes, cgroup.sock_bytes) == (
        1048576,
        2097152,
        65536,
        4096,
    )
    assert cgroup.kernel_source == "memory.stat: kernel"
    assert cgroup.stat["slab"] == 32768
    assert cgroup.dying_descendants == 7


FIELDS = {
    "memory.usage_in_bytes": "usage_bytes",
    "memory.limit_in_bytes": "limit_bytes",
    "memory.kmem.usage_in_bytes": "kernel_bytes",
    "memory.kmem.tcp.usage_in_bytes": "sock_bytes",
    "memory.current": "usage_bytes",
    "memory.max": "limit_bytes",
    "memory.stat": "kernel_bytes",
    "cgroup.stat": "dying_descendants",
}
EACH_FILE = [(1, name) for name in V1_FILES if name in FIELDS] + [(2, name) for name in V2_FILES if name in FIELDS]


@pytest.mark.parametrize(("host", "file"), EACH_FILE, indirect=["host"])
@pytest.mark.parametrize("damage", ["missing", "empty", "binary", "link", "pipe", "directory", "huge"])
def test_a_damaged_file_costs_its_own_field_only(host: FakeHost, file: str, damage: str) -> None:
    limit = "memory.limit_in_bytes" if host.version == 1 else "memory.max"
    directory = host.cgroup("/a", **{limit: "8192\n"})
    intact = host.hierarchy.read("/a")
    assert intact is not None
    assert getattr(intact, FIELDS[file]) is not None
    (directory / file).rename(directory / "intact")
    match damage:
        case "empty":
            (directory / file).write_bytes(b"")
        case "binary":
            (directory / file).write_bytes(bytes(range(256)))
        case "link":
            (directory / file).symlink_to("intact")
        case "pipe":
            os.mkfifo(directory / file)
        case "directory":
            (directory / file).mkdir()
        case "huge":
            (directory / file).write_bytes(b"9" * (1 << 20))
    damaged = host.hierarchy.read("/a")
    assert damaged is not None
    lost = {name for name in intact.__slots__ if getattr(damaged, name) != getattr(intact, name)}
    also = {"kernel_source", "sock_bytes", "stat"} if file == "memory.stat" else {"kernel_source"}
    assert FIELDS[file] in lost
    assert lost <= {FIELDS[file]} | (also if FIELDS[file] == "kernel_bytes" else set())
    assert getattr(damaged, FIELDS[file]) is None


def test_the_root_of_version_2_has_no_usage_and_no_limit(v2: FakeHost) -> None:
    root = v2.hierarchy.read("/")
    assert root is not None
    assert (root.path, root.usage_bytes, root.limit_bytes, root.kernel_bytes) == ("/", None, None, 65536)


def test_a_cgroup_without_the_memory_controller_says_nothing(v2: FakeHost) -> None:
    v2.cgroup("/user.slice", {"cgroup.procs": "", "cgroup.stat": "nr_dying_descendants 0\n"})
    cgroup = v2.hierarchy.read("/user.slice")
    assert cgroup is not None
    assert (cgroup.usage_bytes, cgroup.kernel_bytes, cgroup.kernel_source, cgroup.stat) == (
        None,
        None,
        None,
        {},
    )
    assert cgroup.dying_descendants == 0


@pytest.mark.parametrize(
    ("option", "kernel", "sock"),
    [
        ("nokmem", None, 4096),
        ("nosocket", 65536, None),
        ("nokmem,nosocket", None, None),
        ("nobpf", 65536, 4096),
    ],
)
def test_zeros_that_the_kernel_was_told_not_to_count_are_not_counts(
    host: FakeHost, option: str, kernel: int | None, sock: int | None
) -> None:
    host.write("/proc/cmdline", f"quiet cgroup.memory={option} ro\n")
    host.cgroup("/a")
    cgroup = host.hierarchy.read("/a")
    assert cgroup is not None
    assert (cgroup.kernel_bytes, cgroup.sock_bytes) == (kernel, sock)
    assert (cgroup.kernel_source is None) == (kernel is None)
