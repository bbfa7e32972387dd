"""Targets on this machine, and on a made one that --root names: unknown, ambiguous, gone, vanishing."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kmemscope.model.census import Census
from kmemscope.model.errors import TargetNotFound
from kmemscope.model.node import Host
from kmemscope.observe.census import CensusTaker
from kmemscope.observe.machine import Machine
from tests.cli.running import kmemscope
from tests.observe.fake_host import FakeHost

ONE, OTHER = "4f4f4f" + "0" * 58, "4f4f4f" + "1" * 58


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    """A machine with two containers whose ids begin alike."""
    made = FakeHost(tmp_path, 1)
    for path in ("/docker", f"/docker/{ONE}", f"/docker/{OTHER}", "/web", "/worker"):
        made.cgroup(path)
    return made


def test_an_unknown_name_is_answered_with_the_three_nearest(host: FakeHost) -> None:
    done = kmemscope("why", "wep", "--root", str(host.root))

    assert (done.status, done.out) == (3, "")
    what, _, todo = done.complaint
    assert what == "there is no target wep"
    assert todo.startswith("nearest: ")
    assert len(todo.split(", ")) <= 3


def test_an_ambiguous_prefix_lists_the_candidates(host: FakeHost) -> None:
    done = kmemscope("why", "4f4f4f", "--root", str(host.root))

    assert (done.status, done.out) == (3, "")
    what, why, _ = done.complaint
    assert what == "4f4f4f means 2 targets"
    assert f"/docker/{ONE}" in why
    assert f"/docker/{OTHER}" in why


def test_a_cgroup_that_is_gone(host: FakeHost) -> None:
    done = kmemscope("why", "/docker/removed", "--root", str(host.root))

    assert (done.status, done.out) == (3, "")
    assert done.complaint[0] == "there is no memory cgroup /docker/removed"


def test_a_process_that_has_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()

    done = kmemscope("why", f"pid:{ended.pid}")

    assert (done.status, done.out) == (3, "")
    assert done.complaint[0] == f"there is no process {ended.pid}"


def test_a_machine_without_memory_cgroups(tmp_path: Path) -> None:
    done = kmemscope("--root", str(tmp_path))

    assert (done.status, done.out) == (1, "")
    what, why, todo = done.complaint
    assert what == "no memory cgroup can be seen"
    assert why
    assert todo


class Taker(CensusTaker):
    """A census in whose midst something happens."""

    def __init__(self, event: Callable[[], None]) -> None:
        self._event = event

    def take(self, witness: Callable[[], None] = lambda: None) -> Census:
        witness()
        self._event()
        witness()
        return Census((), (), (), 0, 0, 0, 0, 0, 0.0)


@pytest.mark.parametrize("made_again", [False, True])
def test_a_cgroup_that_vanishes_while_it_is_looked_at(host: FakeHost, made_again: bool) -> None:
    folder = host.root / (host.mount + "/web").lstrip("/")

    def vanish() -> None:
        other = host.root / "other"  # holds the inode, so that the new cgroup has another
        os.rename(folder, other)
        if made_again:
            shutil.copytree(other, folder)

    machine = Machine(host.hostfs, host.hierarchy, Host("6.18", 4096, 1, 1 << 30), Taker(vanish), ())

    with pytest.raises(TargetNotFound, match="/web went away while it was looked at") as refused:
        machine.look_at("/web")

    assert refused.value.exit_status == 3
    assert refused.value.todo


def test_a_cgroup_below_that_vanishes_is_no_failure(host: FakeHost) -> None:
    folder = host.root / (host.mount + f"/docker/{ONE}").lstrip("/")
    taker = Taker(lambda: shutil.rmtree(folder))
    machine = Machine(host.hostfs, host.hierarchy, Host("6.18", 4096, 1, 1 << 30), taker, ())

    observation = machine.look_at("/docker")

    assert f"/docker/{ONE}" in [cgroup.path for cgroup in observation.cgroups]
