import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmemscope.model.errors import KernelUnsupported
from kmemscope.observe.cgroups import MemoryHierarchy, memory_cgroup_in
from kmemscope.observe.hostfs import HostFs, to_bytes, to_text
from tests.observe.fake_host import V1_MOUNTINFO, V2_MOUNT, V2_MOUNTINFO, FakeHost, add_directory


def test_finds_version_1_beside_an_empty_version_2(v1: FakeHost) -> None:
    found = v1.hierarchy
    assert (found.version, found.mount, found.root, found.namespaced) == (
        1,
        "/sys/fs/cgroup/memory",
        "/",
        False,
    )


def test_finds_version_2(v2: FakeHost) -> None:
    found = v2.hierarchy
    assert (found.version, found.mount, found.root, found.namespaced) == (2, "/sys/fs/cgroup", "/", False)


def test_says_that_the_mount_shows_a_namespace_only(host: FakeHost) -> None:
    if host.version == 1:
        (host.root / "sys/fs/cgroup/memory/cgroup.sane_behavior").unlink()
    else:
        host.write(f"{V2_MOUNT}/memory.current", "1\n")
    assert host.hierarchy.namespaced


def test_a_mount_point_may_have_any_name(v2: FakeHost) -> None:
    v2.write("/proc/self/mountinfo", V2_MOUNTINFO.replace(V2_MOUNT, "/mnt/a\\040b\\134c"))
    (v2.root / "mnt").mkdir()
    (v2.root / "sys/fs/cgroup").rename(v2.root / "mnt/a b\\c")
    assert v2.hierarchy.mount == "/mnt/a b\\c"
    assert v2.hierarchy.read("/") is not None


def test_a_mount_that_is_hidden_or_elsewhere_is_not_taken(v1: FakeHost) -> None:
    v1.write(
        "/proc/self/mountinfo",
        V1_MOUNTINFO.replace("35 31", "34 31", 1) + "50 1 0:32 / /mnt rw - cgroup cgroup rw,memory\n",
    )
    assert v1.hierarchy.mount == "/sys/fs/cgroup/memory"


def test_below_another_root_our_own_mountinfo_names_mounts_with_that_root(v2: FakeHost) -> None:
    line = f"30 23 0:26 /../.. {v2.root}{V2_MOUNT} rw - cgroup2 cgroup2 rw\n"
    v2.write("/proc/self/mountinfo", f"29 23 0:26 / {V2_MOUNT} ro - cgroup2 cgroup2 rw\n" + line)
    assert (v2.hierarchy.mount, v2.hierarchy.root) == (V2_MOUNT, "/../..")


def test_below_another_root_the_first_process_names_mounts_too(v2: FakeHost) -> None:
    v2.write("/proc/1/mountinfo", V2_MOUNTINFO)
    v2.write("/proc/self/mountinfo", "1 0 0:1 / / rw - overlay overlay rw\n")
    assert v2.hierarchy.mount == V2_MOUNT


def test_of_two_mounts_the_one_that_shows_more_is_taken(v2: FakeHost) -> None:
    for mount in ("/a", "/b", "/longer"):
        v2.write(f"{mount}/cgroup.controllers", "memory\n")
    roots = {"/a": "/kubepods/x", "/longer": "/", "/b": "/kubepods"}
    lines = [f"1 2 0:26 {root} {mount} rw - cgroup2 cgroup2 rw\n" for mount, root in roots.items()]
    v2.write("/proc/self/mountinfo", "".join(lines))
    assert v2.hierarchy.mount == "/longer"
    assert dict(v2.hierarchy.mounts) == roots
    lines.append("1 2 0:26 /../.. /b rw - cgroup2 cgroup2 rw\n")  # hides the earlier; above our namespace
    v2.write("/proc/self/mountinfo", "".join(lines))
    assert (v2.hierarchy.mount, v2.hierarchy.root) == ("/b", "/../..")


@pytest.mark.parametrize(
    ("mountinfo", "cgroups", "why"),
    [
        (None, None, "cannot be read"),
        ("", None, "no cgroup file system"),
        (b"\xff\0garbage\n" * 100, None, "no cgroup file system"),
        (V2_MOUNTINFO, None, "they have: cpu io"),
        ("", "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t1\t0\n", "disabled"),
    ],
)
def test_says_why_there_is_no_hierarchy(
    tmp_path: Path, mountinfo: str | bytes | None, cgroups: str | None, why: str
) -> None:
    host = FakeHost(tmp_path, 2)
    host.write(f"{V2_MOUNT}/cgroup.controllers", "cpu io\n")
    (tmp_path / "proc/self/mountinfo").unlink()
    if mountinfo is not None:
        host.write("/proc/self/mountinfo", mountinfo)
    if cgroups is not None:
        host.write("/proc/cgroups", cgroups)
    with pytest.raises(KernelUnsupported) as caught:
        MemoryHierarchy.find(host.hostfs)
    assert why in caught.value.why
    assert caught.value.todo


def test_walks_parents_first_with_the_inodes(host: FakeHost) -> None:
    for path in ("/a", "/a/b", "/a/b/c", "/a/d", "/e"):
        host.cgroup(path)
    mount = host.root / host.mount.strip("/")
    walked = list(host.hierarchy.walk())
    assert [path for path, _ in walked] == ["/", "/a", "/a/b", "/a/b/c", "/a/d", "/e"]
    assert all((mount / path.strip("/")).stat().st_ino == inode for path, inode in walked)
    assert [path for path, _ in host.hierarchy.walk("/a/b")] == ["/a/b", "/a/b/c"]
    assert list(host.hierarchy.walk("/gone")) == []


def test_walk_follows_no_link(host: FakeHost) -> None:
    mount = host.root / host.mount.strip("/")
    host.cgroup("/a")
    (mount / "out").symlink_to("/proc")
    (mount / "loop").symlink_to(".")
    assert [path for path, _ in host.hierarchy.walk()] == ["/", "/a"]
    assert list(host.hierarchy.walk("/out")) == []
    assert host.hierarchy.read("/out") is None
    assert not host.hierarchy.exists("/out")


def test_walk_counts_what_its_bound_leaves_out(host: FakeHost) -> None:
    for number in range(10):
        host.cgroup(f"/{number}")
    walk = host.hierarchy.walk(limit=4)
    assert len(list(walk)) == 4
    assert walk.dropped == 7
    assert len(list(host.hierarchy.walk(limit=11))) == 11


def test_walk_does_not_follow_names_longer_than_the_kernel_tells(host: FakeHost) -> None:
    directory = os.open(host.root / host.mount.strip("/"), os.O_RDONLY)
    for _ in range(30):
        os.mkdir("x" * 250, dir_fd=directory)
        below = os.open("x" * 250, os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = below
    os.close(directory)
    walk = host.hierarchy.walk()
    seen = [path for path, _ in walk]
    assert 10 < len(seen) < 30
    assert walk.dropped == 1
    assert host.hierarchy.exists(seen[-1])
    assert host.hierarchy.read("/" + "/".join(["x" * 250] * 30)) is None


HOSTILE = [b"\xff\xfe", b"a\nb", b"\x1b[31m", b" (deleted)", b"a\\040b", "é".encode(), b"..."]


@pytest.mark.parametrize("name", HOSTILE)
def test_any_directory_name_is_walked_and_read(v1: FakeHost, name: bytes) -> None:
    mount = v1.root / v1.mount.strip("/")
    add_directory(mount, name)
    with open(os.fsencode(mount) + b"/" + name + b"/memory.usage_in_bytes", "w") as file:
        file.write("77\n")
    with open(os.fsencode(mount) + b"/" + name + b"/cgroup.procs", "w"):
        pass
    paths = [path for path, _ in v1.hierarchy.walk()]
    assert [to_bytes(path) for path in paths] == [b"/", b"/" + name]
    cgroup = v1.hierarchy.read(paths[1])
    assert cgroup is not None
    assert cgroup.usage_bytes == 77


@given(st.text(max_size=20))
def test_a_path_that_is_none_is_gone_and_no_error(path: str) -> None:
    hierarchy = MemoryHierarchy(HostFs(Path("/nowhere")), 1, "/m", "/", False, (("/m", "/"),))
    assert hierarchy.read("/" + path) is None
    assert list(hierarchy.walk("/" + path)) == []
    assert not hierarchy.exists("/" + path)


def test_a_removed_cgroup_reads_as_gone(host: FakeHost) -> None:
    assert host.hierarchy.read("/gone") is None
    host.cgroup("/removing", {})  # the directory is still there, its files are not: kernfs removes them first
    assert host.hierarchy.read("/removing") is None


def test_survives_cgroups_that_come_and_go(host: FakeHost) -> None:
    mount = host.root / host.mount.strip("/")
    host.cgroup("/stays/deep")
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            names = [mount / "stays" / f"{number}" for number in range(20)]
            for name in names:
                (name / "below").mkdir(parents=True)
            for name in names:
                (name / "below").rmdir()
                name.rmdir()

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(100):
            paths = [path for path, _ in host.hierarchy.walk()]
            assert {"/", "/stays", "/stays/deep"} <= set(paths)
            assert [cgroup.path for path in paths if (cgroup := host.hierarchy.read(path)) and cgroup.usage_bytes]
    finally:
        stop.set()
        thread.join()


def test_ancestors_are_nearest_first(host: FakeHost) -> None:
    assert host.hierarchy.ancestors("/a/b/c") == ["/a/b", "/a", "/"]
    assert host.hierarchy.ancestors("/a") == ["/"]
    assert host.hierarchy.ancestors("/") == []


PROC_CGROUP_V1 = [b"12:cpu,cpuacct:/cpu", b"4:memory:/mem", b"1:name=systemd:/sys", b"0::/unified"]


def test_the_line_of_the_right_hierarchy_counts() -> None:
    assert memory_cgroup_in(PROC_CGROUP_V1, 1) == "/mem"
    assert memory_cgroup_in(PROC_CGROUP_V1, 2) == "/unified"
    assert memory_cgroup_in([b"3:cpuset,memory:/both"], 1) == "/both"
    assert memory_cgroup_in([b"3:memory:/a:b:c"], 1) == "/a:b:c"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"::",
        b"0:",
        b"memory",
        b"4:memory",
        b"4:memory:",
        b"4:memory:relative",
        b"4:memoryx:/a",
        b"1:name=memory:/a",
    ],
)
def test_lines_that_are_none(line: bytes) -> None:
    assert memory_cgroup_in([line], 1) is None


@given(st.lists(st.binary()), st.sampled_from([1, 2]))
def test_no_lines_are_too_strange(lines: list[bytes], version: int) -> None:
    found = memory_cgroup_in(lines, version)
    assert found is None or any(line.endswith(to_bytes(found)) for line in lines)


@given(st.binary(min_size=1).filter(lambda name: b"\n" not in name))
def test_any_cgroup_name_is_found(name: bytes) -> None:
    assert memory_cgroup_in([b"1:cpu:/x", b"4:memory:/" + name], 1) == "/" + to_text(name)


def test_finds_the_cgroup_of_a_process(host: FakeHost) -> None:
    host.cgroup("/a/b")
    host.process(42, "/a/b")
    host.process(43, "/a/b")
    assert host.hierarchy.of_pid(42) == "/a/b"
    assert host.hierarchy.of_pid(99) is None
    assert host.hierarchy.pids("/a/b") == [42, 43]
    assert host.hierarchy.pids("/a") == []
    assert host.hierarchy.pids("/gone") == []
    assert host.hierarchy.pids("/") == []


def test_the_cgroup_of_a_process_may_be_deleted_or_only_be_called_so(v2: FakeHost) -> None:
    v2.write("/proc/42/cgroup", "0::/a (deleted)\n")
    v2.cgroup("/a")
    assert v2.hierarchy.of_pid(42) is None
    v2.cgroup("/a (deleted)")
    assert v2.hierarchy.of_pid(42) == "/a (deleted)"


def test_a_mount_of_a_part_cuts_the_names(v1: FakeHost) -> None:
    v1.write("/proc/self/mountinfo", V1_MOUNTINFO.replace("0:32 / ", "0:32 /docker/abc "))
    v1.write("/proc/42/cgroup", "4:memory:/docker/abc/inner\n")
    v1.write("/proc/43/cgroup", "4:memory:/docker/abc\n")
    v1.write("/proc/44/cgroup", "4:memory:/docker/abcdef\n")
    assert [v1.hierarchy.of_pid(pid) for pid in (42, 43, 44)] == ["/inner", "/", None]


def test_a_mount_from_above_the_own_namespace_cuts_the_names_or_searches(v2: FakeHost) -> None:
    v2.write("/proc/self/mountinfo", V2_MOUNTINFO.replace("0:26 / ", "0:26 /../.. "))
    v2.cgroup("/system/x")
    v2.cgroup("/kubepods/agent")
    v2.process(42, "/system/x")
    v2.write("/proc/42/cgroup", "0::/../../system/x\n")
    v2.process(43, "/kubepods/agent")
    v2.write("/proc/43/cgroup", "0::/\n")  # ours: the name does not tell where the namespace is
    assert v2.hierarchy.of_pid(42) == "/system/x"
    assert v2.hierarchy.of_pid(43) == "/kubepods/agent"
    (v2.root / "proc/self").rename(v2.root / "proc/7")
    (v2.root / "proc/self").symlink_to("7")  # another PID namespace: its numbers tell nothing
    assert v2.hierarchy.of_pid(43) is None


def test_a_name_outside_of_our_namespace_leads_nowhere(v2: FakeHost) -> None:
    v2.write("/sys/fs/other/cgroup.procs", "")  # what `..` would reach from the mount
    v2.write("/proc/42/cgroup", "0::/../other\n")
    assert v2.hierarchy.of_pid(42) is None


def test_processes_outside_of_our_namespace_have_no_number(host: FakeHost) -> None:
    directory = host.cgroup("/a")
    (directory / "cgroup.procs").write_text("0\n12\n0\nnonsense\n-3\n99999999999999\n13")
    assert host.hierarchy.pids("/a") == [12, 13]
    assert host.hierarchy.all_pids("/a") == [0, 12, 0, 13]
