"""The workloads themselves: they make what they are told, and leave nothing behind, however they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.system.cgroups import TestCgroup
from tests.system.running import ENVIRONMENT, REPOSITORY, WorkloadRefusedError, run_workload
from tests.workloads.registry import WORKLOADS

TRACES = [*(Path("/proc/sysvipc") / each for each in ("msg", "sem", "shm")), Path("/proc/keys")]
"""Files of the kernel that list what outlives a process."""
FORGETTING_SECONDS = 10.0
"""Keys are taken away in the background."""
LASTING = ["message_queues", "shared_memory", "semaphore_sets", "keys"]
"""Workloads that make what the kernel could keep without the process; files and mounts have no name to last by."""


def traces() -> list[str]:
    """What the kernel keeps for nobody in particular; keys of other programs come and go."""
    lines = [line for each in TRACES if each.exists() for line in each.read_text().splitlines()]
    return [line for line in lines if " user " not in line or "workload" in line]


@pytest.mark.parametrize("name", LASTING)
def test_a_killed_workload_leaves_nothing_behind(name: str, cgroup: TestCgroup) -> None:
    before = traces()
    try:
        with run_workload(name, cgroup, 16) as running:
            os.kill(running.process.pid, signal.SIGKILL)
            running.process.wait()
    except WorkloadRefusedError as refusal:
        pytest.skip(str(refusal))
    deadline = time.monotonic() + FORGETTING_SECONDS
    while traces() != before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert traces() == before


def test_connections_are_reset_and_not_left_to_wait(cgroup: TestCgroup) -> None:
    def waiting() -> int:
        words = Path("/proc/net/sockstat").read_text().split()
        return int(words[words.index("tw") + 1])

    before = waiting()
    with run_workload("tcp_over_ipv4", cgroup, 100):
        pass
    assert waiting() <= before


@pytest.mark.parametrize("count", [1, 37])
@pytest.mark.parametrize("name", ["threads", "zombies", "full_pipes", "queued_signals", "mappings"])
def test_a_workload_makes_as_many_as_it_is_told(name: str, count: int, cgroup: TestCgroup) -> None:
    with run_workload(name, cgroup, count) as running:
        assert running.made == count
        assert running.process.pid in cgroup.processes()


def test_the_list_has_every_workload_and_a_wrong_name_is_refused() -> None:
    command = [sys.executable, "-m", "tests.workloads"]
    settings = {"cwd": REPOSITORY, "env": ENVIRONMENT, "capture_output": True, "text": True}
    listed = subprocess.run(command, check=False, **settings)
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(WORKLOADS)
    assert subprocess.run([*command, "no-such-workload"], check=False, **settings).returncode == 2
