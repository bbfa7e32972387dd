"""Running a workload as its own process in a test cgroup."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kmemscope
from tests.system.cgroups import TestCgroup

REPOSITORY = Path(__file__).parents[2]
SOURCES = Path(kmemscope.__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{SOURCES}"}
"""A child finds the same kmemscope that the tests run with, whether installed or in the source tree."""
EXIT_SECONDS = 60
ENTER_AND_BECOME = 'echo 0 > "$0/cgroup.procs" && exec "$@"'


class WorkloadRefusedError(Exception):
    """The kernel or the rights of this run do not allow the workload; the message says what it needs."""


@dataclass(frozen=True, slots=True)
class Running:
    """A workload that has made its memory and holds it."""

    made: int
    facts: dict[str, Any]
    process: subprocess.Popen[str]


@contextmanager
def run_workload(name: str, cgroup: TestCgroup, count: int | None = None) -> Iterator[Running]:
    """Start a workload in a cgroup, wait until its memory is made, and end it afterwards.

    The process enters the cgroup before it becomes the workload, so that only its task and kernel stack, made
    by fork, are charged to the cgroup of the test run.
    """
    with start("tests.workloads", [name, *([] if count is None else [str(count)])], cgroup) as process:
        word, _, facts = answer(process).partition(" ")
        if word == "UNAVAILABLE":
            raise WorkloadRefusedError(f"{name} needs {json.loads(facts)['needs']}")
        assert word == "READY", f"{name} ended with status {process.wait()} before it was ready"
        values = json.loads(facts)
        yield Running(values["made"], values, process)


@contextmanager
def start(module: str, arguments: list[str], cgroup: TestCgroup) -> Iterator[subprocess.Popen[str]]:
    """Run a module of this repository in a cgroup until the block ends."""
    process = subprocess.Popen(
        ["sh", "-c", ENTER_AND_BECOME, cgroup.path, sys.executable, "-m", module, *arguments],
        cwd=REPOSITORY,
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            end(process)


def answer(process: subprocess.Popen[str]) -> str:
    """The next line that a process says, empty when it ended."""
    assert process.stdout is not None
    return process.stdout.readline()


def end(process: subprocess.Popen[str]) -> None:
    """Close the workload's stdin, which tells it to clean up; kill it where it does not listen."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
