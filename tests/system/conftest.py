"""What every system test stands on: a memory cgroup of its own below one of the run, and a loaded census.

Without root or a memory hierarchy these tests are skipped. Where a coverage table was asked for, as in the
kernel matrix, skipping is no answer and whatever is missing is an error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmemscope.model.errors import NotPermitted
from kmemscope.observe.bpf.skeleton import BTF
from kmemscope.observe.census import CensusTaker
from tests.hierarchy import Hierarchy
from tests.system.cgroups import TestCgroup, child, run_subtree

COVERAGE = "KMEMSCOPE_COVERAGE"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder, so that they can be left out by name."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.system)


def missing(what: str) -> None:
    """Skip, unless the run is meant for exactly these tests."""
    if COVERAGE in os.environ:
        pytest.fail(f"the system tests need {what}")
    pytest.skip(f"needs {what}")


@pytest.fixture(scope="session")
def top() -> Iterator[TestCgroup]:
    """The cgroup that all others of this run are below."""
    hierarchy = Hierarchy.find()
    if hierarchy is None or os.geteuid() != 0:
        missing("root and the memory controller")
    with run_subtree(hierarchy) as cgroup:
        yield cgroup


@pytest.fixture
def cgroup(top: TestCgroup) -> Iterator[TestCgroup]:
    """An empty cgroup for one test."""
    with child(top, "one") as made:
        yield made


@pytest.fixture
def sibling(top: TestCgroup) -> Iterator[TestCgroup]:
    """A second empty cgroup, beside the first."""
    with child(top, "two") as made:
        yield made


def kernel_has_census() -> bool:
    """Whether this kernel is one that the census promises to run on: 5.17 or later, with BTF."""
    major, minor = (int(part) for part in os.uname().release.split(".")[:2])
    return (major, minor) >= (5, 17) and BTF.exists()


@pytest.fixture(scope="session")
def taker(top: TestCgroup) -> Iterator[CensusTaker]:
    """The census, loaded once."""
    if not kernel_has_census():
        # Even in the kernel matrix: there test_levels.py holds what such a kernel has to give.
        pytest.skip("needs kernel 5.17 with BTF")
    try:
        opened = CensusTaker.open()
    except NotPermitted as error:
        missing(str(error))
    with opened:
        yield opened
