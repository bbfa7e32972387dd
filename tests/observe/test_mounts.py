import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmemscope.observe.mounts import Mount, parse_mount, parse_mounts, unescape


def escape(name: bytes) -> bytes:
    """What fs/seq_file.c mangle_path does with the characters of fs/proc_namespace.c."""
    return b"".join(b"\\%03o" % byte if byte in b" \t\n\\#" else bytes((byte,)) for byte in name)


@given(st.binary())
def test_unescape_undoes_the_kernels_escapes(name: bytes) -> None:
    assert unescape(escape(name)) == name


@given(st.binary())
def test_no_line_is_too_strange(line: bytes) -> None:
    mount = parse_mount(line)
    assert mount is None or line.count(b" ") >= 9


@pytest.mark.parametrize("optional", [b"", b"shared:1 ", b"shared:1 master:2 propagate_from:3 unbindable "])
def test_a_mount_with_any_optional_fields(optional: bytes) -> None:
    line = b"35 31 0:32 /a\\040b /mnt/new\\012line rw,relatime " + optional + b"- cgroup cgroup rw,cpu,memory"
    assert parse_mount(line) == Mount("/a b", "/mnt/new\nline", "cgroup", ("rw", "cpu", "memory"))


def test_a_mount_whose_point_is_a_lone_dash_or_whose_source_is_empty() -> None:
    assert parse_mount(b"1 2 0:3 / - rw - cgroup2  rw") == Mount("/", "-", "cgroup2", ("rw",))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"35 31 0:32 / /x rw,relatime",
        b"35 31 0:32 / /x rw -",
        b"35 31 0:32 / /x rw - cgroup none",
        b"- - - - - - -",
    ],
)
def test_what_is_cut_is_left_out(line: bytes) -> None:
    assert parse_mounts([line]) == []
