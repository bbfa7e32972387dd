import os
import platform

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmemscope.observe.host import count_cpus, memory_total, read_host
from kmemscope.observe.hostfs import HostFs
from tests.observe.fake_host import FakeHost


def test_agrees_with_the_c_library() -> None:
    host = read_host(HostFs())
    assert host.kernel == platform.release()
    assert host.page_bytes == os.sysconf("SC_PAGE_SIZE")
    assert host.cpus >= os.cpu_count()  # possible is at least online
    assert host.memory_bytes == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_reads_below_the_root(v2: FakeHost) -> None:
    v2.write("/proc/sys/kernel/osrelease", "4.19.0-fake\n")
    v2.write("/sys/devices/system/cpu/possible", "0-127\n")
    v2.write("/proc/meminfo", "MemTotal:       1024 kB\nMemFree: 1 kB\n")
    host = read_host(v2.hostfs)
    assert (host.kernel, host.cpus, host.memory_bytes) == ("4.19.0-fake", 128, 1 << 20)


@pytest.mark.parametrize("text", ["", "\n", "x", "3-1", "0-", "-", "0,,1", "0-999999", "0-99999999999", "1_0"])
def test_damaged_files_never_give_zero(v2: FakeHost, text: str) -> None:
    v2.write("/sys/devices/system/cpu/possible", text)
    v2.write("/proc/meminfo", f"MemTotal: {text} kB\n")
    host = read_host(v2.hostfs)
    assert host.cpus == os.cpu_count()
    assert host.memory_bytes > 1 << 20
    assert host.kernel == platform.release()


@given(st.sets(st.integers(0, 8191), min_size=1))
def test_counts_any_set_of_cpus(cpus: set[int]) -> None:
    ranges: list[list[int]] = []
    for cpu in sorted(cpus):
        if ranges and ranges[-1][1] == cpu - 1:
            ranges[-1][1] = cpu
        else:
            ranges.append([cpu, cpu])
    text = ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in ranges)
    assert count_cpus(text.encode() + b"\n") == len(cpus)


@given(st.binary())
def test_no_text_is_too_strange(text: bytes) -> None:
    cpus = count_cpus(text)
    assert cpus is None or cpus > 0
    memory = memory_total(text)
    assert memory is None or memory >= 0
