import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmemscope.observe import processes
from kmemscope.observe.hostfs import HostFs
from kmemscope.observe.processes import parse_status, processes_of, read_process
from tests.observe.fake_host import FakeHost


@contextmanager
def child(name: bytes, descriptors: int = 0) -> Iterator[int]:
    """A process of this name (at most 15 bytes) with some more descriptors than the three usual ones."""
    ready, tell = os.pipe()
    pid = os.fork()
    if not pid:
        os.closerange(3, ready)
        os.close(ready)
        with open("/proc/self/comm", "wb") as comm:
            comm.write(name)
        for _ in range(descriptors):
            os.dup(0)
        os.write(tell, b"x")
        os.close(tell)
        signal.pause()
    os.close(tell)
    os.read(ready, 1)
    os.read(ready, 1)  # its end is closed, too
    os.close(ready)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.parametrize(
    "name", [b"java", b"a) S 1 (b", b"new\nline", b"back\\nslash", b"\\\\\n\\", b"\xff\xfe", b"Threads:\t9"]
)
def test_reads_a_real_process_whatever_it_is_called(name: bytes) -> None:
    with child(name, 20) as pid:
        process = read_process(HostFs(), pid, "/x")
        assert process is not None
        with open(f"/proc/{pid}/comm", "rb") as comm:
            assert process.comm.encode("utf-8", "surrogateescape") + b"\n" == comm.read()
        assert process.comm.encode("utf-8", "surrogateescape") == name
        assert (process.pid, process.threads, process.cgroup) == (pid, 1, "/x")
        assert process.fds == len(os.listdir(f"/proc/{pid}/fd"))
        with open(f"/proc/{pid}/status", "rb") as status:
            tables = next(int(line.split()[1]) for line in status if line.startswith(b"VmPTE"))
        assert process.page_table_bytes == tables * 1024 > 0


def test_counts_descriptors_by_listing_where_the_kernel_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with child(b"x", 40) as pid:
        listing = os.open(f"/proc/{pid}/fd", os.O_RDONLY)
        try:
            assert processes._count_names(listing) == os.stat(f"/proc/{pid}/fd").st_size > 40
            monkeypatch.setattr(processes, "_MOST_FDS", 40)
            os.lseek(listing, 0, os.SEEK_SET)
            assert processes._count_names(listing) is None
        finally:
            os.close(listing)


def test_a_zombie_has_no_page_tables_and_a_gone_process_is_none() -> None:
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    zombie = read_process(HostFs(), pid, "/")
    assert zombie is not None
    assert (zombie.page_table_bytes, zombie.fds) == (None, 0)
    os.waitpid(pid, 0)
    assert read_process(HostFs(), pid, "/") is None


def test_reads_a_status_longer_than_usual() -> None:
    pid = os.fork()
    if not pid:
        os.setgroups(range(10_000_000, 10_060_000))
        signal.pause()
    try:
        while os.stat(f"/proc/{pid}").st_mode and not _groups(pid):
            os.sched_yield()
        process = read_process(HostFs(), pid, "/")
        assert process is not None
        assert process.threads == 1
        assert process.page_table_bytes
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _groups(pid: int) -> bool:
    with open(f"/proc/{pid}/status") as status:
        return len(status.read()) > 500_000


@given(st.binary())
def test_no_status_is_too_strange(status: bytes) -> None:
    assert parse_status(status) is None
    parsed = parse_status(b"Name:\tx\nThreads:\t4\n" + status)
    assert parsed is not None
    assert parsed[:2] == ("x", 4)


@given(st.binary().filter(lambda name: b"\0" not in name), st.integers(0, 10**9), st.integers(0, 10**12))
def test_any_name_is_read_back(name: bytes, threads: int, tables: int) -> None:
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")
    status = b"Name:\t%s\nUmask:\t0022\nVmPTE:\t%8d kB\nThreads:\t%d\nSigQ:\t0/1\n" % (
        escaped,
        tables,
        threads,
    )
    assert parse_status(status) == (name.decode("utf-8", "surrogateescape"), threads, tables << 10)


def test_lists_the_subtree_with_each_process_once(host: FakeHost) -> None:
    host.cgroup("/a/b")
    host.cgroup("/c")
    host.process(10, "/a", name=b"java", threads=4003)
    host.process(11, "/a/b")
    host.process(12, "/c")
    with (host.root / (host.mount + "/a/b/cgroup.procs").strip("/")).open("a") as procs:
        procs.write("10\n")  # version 1: a thread of it is here
    found, dropped = processes_of(host.hostfs, host.hierarchy, "/a")
    assert [(each.pid, each.comm, each.threads, each.cgroup) for each in found] == [
        (10, "java", 4003, "/a"),
        (11, "sleep", 1, "/a/b"),
    ]
    assert found[0].page_table_bytes == 72 << 10
    assert dropped == 0
    assert processes_of(host.hostfs, host.hierarchy, "/gone") == ((), 0)


def test_counts_what_it_leaves_out(host: FakeHost) -> None:
    directory = host.cgroup("/a")
    for pid in range(10, 20):
        host.process(pid, "/a")
    with (directory / "cgroup.procs").open("a") as procs:
        procs.write("0\n0\n")  # outside of our PID namespace
        procs.write("77\n")  # hidden: listed before and after, but not in /proc
    found, dropped = processes_of(host.hostfs, host.hierarchy, "/a", limit=4)
    assert [each.pid for each in found] == [10, 11, 12, 13]
    assert dropped == 6 + 2 + 1
    found, dropped = processes_of(host.hostfs, host.hierarchy, "/a")
    assert (len(found), dropped) == (10, 3)


def test_numbers_of_another_pid_namespace_are_not_looked_up(host: FakeHost) -> None:
    host.cgroup("/a")
    host.process(10, "/a")
    (host.root / "proc/self").rename(host.root / "proc/99999999")
    (host.root / "proc/self").symlink_to("99999999")
    hierarchy = host.hierarchy
    assert processes_of(host.hostfs, hierarchy, "/a") == ((), 1)
