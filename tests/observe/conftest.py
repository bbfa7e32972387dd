from pathlib import Path

import pytest

from tests.observe.fake_host import FakeHost


@pytest.fixture
def v1(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path, 1)


@pytest.fixture
def v2(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path, 2)


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path, request.param)
