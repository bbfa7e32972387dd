"""A cgroup that vanishes while it is looked at: an answer about it, or that it is gone, and never a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from tests.system.cgroups import TestCgroup, child
from tests.system.running import ENVIRONMENT, REPOSITORY, run_workload

ANSWERED, GONE = 0, 3


def start_why(cgroup: TestCgroup) -> subprocess.Popen[str]:
    """Ask kmemscope about a cgroup by its directory."""
    return subprocess.Popen(
        [sys.executable, "-m", "kmemscope", "why", str(cgroup.path), "--json"],
        cwd=REPOSITORY,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def seconds_of_an_answer(top: TestCgroup) -> float:
    """How long an answer takes on this machine, so that the cgroup can vanish at any part of it."""
    with child(top, "measured") as measured:
        started = time.monotonic()
        with start_why(measured) as asked:
            _, complaint = asked.communicate()
        assert asked.returncode == ANSWERED, complaint
        return time.monotonic() - started


@pytest.mark.parametrize("part", [0.0, 0.3, 0.5, 0.7, 0.9])
def test_a_cgroup_that_vanishes_is_explained_or_said_to_be_gone(
    part: float, cgroup: TestCgroup, seconds_of_an_answer: float
) -> None:
    with (
        child(cgroup, "vanishing") as vanishing,
        run_workload("epoll_items", vanishing, 1_000),
        start_why(vanishing) as asked,
    ):
        time.sleep(part * seconds_of_an_answer)
        vanishing.remove()
        answer, complaint = asked.communicate()
    assert asked.returncode in (ANSWERED, GONE), complaint
    assert "Traceback" not in complaint
    if asked.returncode == ANSWERED:
        assert json.loads(answer)["target"]["cgroup"].endswith("/vanishing")
    else:
        assert not answer
        assert complaint.strip()


def test_a_cgroup_that_was_removed_before_is_not_found(cgroup: TestCgroup) -> None:
    with child(cgroup, "gone") as gone:
        pass
    with start_why(gone) as asked:
        answer, complaint = asked.communicate()
    assert asked.returncode == GONE
    assert not answer
    assert "gone" in complaint
