from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.unprivileged import Nobody, nobody_with_sources


@pytest.fixture(scope="session")
def nobody() -> Iterator[Nobody]:
    """The sources where a user without any rights can read them; skips where we cannot become one."""
    with nobody_with_sources() as user:
        yield user


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A file that is no capture."""
    file = tmp_path / "damaged.kms"
    file.write_bytes(b"nothing of ours")
    return file
