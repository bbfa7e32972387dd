"""The wheel carries all that kmemscope needs and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytest.importorskip("build")


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files in a wheel that is built from this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_it_has_every_module_and_schema_and_the_built_programs(carried: set[str]) -> None:
    sources = ROOT / "src"
    kinds = ("*.py", "schemas/*.json", "objects/census.*", "py.typed")
    expected = {str(path.relative_to(sources)) for kind in kinds for path in sources.rglob(kind)}

    assert {"kmemscope/present/schemas/node.json", "kmemscope/observe/bpf/objects/census.bin"} <= expected
    assert expected <= carried


def test_it_has_nothing_of_the_tests_or_the_build(carried: set[str]) -> None:
    own = {name for name in carried if ".dist-info/" not in name}

    assert {name.split("/")[0] for name in own} == {"kmemscope"}
    assert not [name for name in own if "__pycache__" in name or name.endswith((".c", ".h", ".pyc"))]
