"""The commands as their user runs them, on whatever kernel this is: the right level, and an answer at every level."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.cgroups import TestCgroup
from tests.system.conftest import kernel_has_census
from tests.system.running import ENVIRONMENT, run_workload

THREADS = 300
STACK_BYTES = 16 * 1024


def kmemscope(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "kmemscope", *words], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


def test_the_level_is_what_the_kernel_allows(cgroup: TestCgroup):
    answer = json.loads(kmemscope("why", str(cgroup.path), "--json").stdout)

    assert answer["level"] == ("exact" if kernel_has_census() else "counters")
    assert bool(answer["limitations"]) != kernel_has_census()
    assert all(each["why"] and each["todo"] for each in answer["limitations"])


def test_exactness_can_be_required(cgroup: TestCgroup):
    done = kmemscope("why", str(cgroup.path), "--require", "exact")

    if kernel_has_census():
        assert done.returncode == 0
    else:
        assert done.returncode == 4
        assert not done.stdout
        assert "level exact is not to be had here" in done.stderr
        assert "try: " in done.stderr


def test_a_number_is_given_at_every_level(cgroup: TestCgroup):
    with run_workload("threads", cgroup, THREADS):
        answer = json.loads(kmemscope("why", str(cgroup.path), "--json").stdout)

    assert answer["memory"]["kernel_bytes"] > THREADS * STACK_BYTES
    assert answer["memory"]["kernel_source"]
    assert (answer["account"] is None) != (answer["no_account"] is None)
    assert answer["holders"]["processes"][0]["threads"] >= THREADS


def test_the_headline_names_what_leaks(cgroup: TestCgroup):
    if not kernel_has_census():
        pytest.skip("needs a kernel with the census (5.17)")
    with run_workload("threads", cgroup, THREADS):
        text = kmemscope("why", str(cgroup.path)).stdout

    assert "ostly kernel stacks" in text or "largest part is kernel stacks" in text


def test_a_capture_says_what_the_live_answer_said(cgroup: TestCgroup, tmp_path: Path):
    capture = tmp_path / "threads.kms"
    with run_workload("threads", cgroup, THREADS):
        made = kmemscope("capture", str(cgroup.path), "-o", str(capture))
    again = kmemscope("why", "--from", str(capture), "--json")

    assert (made.returncode, again.returncode) == (0, 0), made.stderr + again.stderr
    assert json.loads(again.stdout)["memory"]["kernel_bytes"] > THREADS * STACK_BYTES
    assert again.stdout == kmemscope("why", "--from", str(capture), "--json").stdout


def test_the_table_has_every_cgroup(cgroup: TestCgroup, sibling: TestCgroup):
    rows = json.loads(kmemscope("--json").stdout)["cgroups"]

    ids = {row["cgroup_id"] for row in rows}
    assert {cgroup.path.stat().st_ino, sibling.path.stat().st_ino} <= ids


def test_the_doctor_says_what_is_missing():
    done = kmemscope("doctor", "--json")
    checks = {each["name"]: each for each in json.loads(done.stdout)["checks"]}

    assert done.returncode == 0
    assert checks["census programs"]["good"] == kernel_has_census()
    assert all(each["todo"] for each in checks.values() if not each["good"])
    assert os.geteuid() == 0
    assert checks["rights"]["good"]
