"""What a user waits for: whole commands, from the start of python to the last line.

Modules are compiled beforehand, as pip does when it installs a wheel, and once not, as in a folder that was unpacked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.playground import REPOSITORY, Playground
from benchmarks.subject import ENTRIES
from benchmarks.timing import rounded
from kmemscope.observe.bpf.census_programs import CensusPrograms

BYTECODE = REPOSITORY / "build/benchmarks/bytecode"
COMPILED = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"} | {
    "PYTHONPYCACHEPREFIX": str(BYTECODE)
}
NOT_COMPILED = COMPILED | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": str(BYTECODE / "none")}
LAUNCHER = Path(__file__).parent / "launcher.py"
RUNS = 7
LOADS = 7
MIB = 1 << 20
IMPORTS = "import kmemscope.cli.why, kmemscope.observe.machine, kmemscope.explain.diagnosis, kmemscope.present.why_text"


def run(command: Sequence[str], runs: int = RUNS, environment: Mapping[str, str] = COMPILED) -> dict[str, Any]:
    """Run a command several times, after one that does not count. Raises RuntimeError when it fails."""
    found = [run_once(command, environment) for _ in range(runs + 1)][1:]
    return {
        "runs": runs,
        "min_s": rounded(min(each["seconds"] for each in found)),
        "median_s": rounded(median(each["seconds"] for each in found)),
        "cpu_min_s": rounded(min(each["cpu_seconds"] for each in found)),
        "peak_rss_mib": rounded(max(each["peak_rss_bytes"] for each in found) / MIB),
    }


def run_once(command: Sequence[str], environment: Mapping[str, str]) -> dict[str, float]:
    """Run a command; gives what the launcher says of it."""
    launched = [sys.executable, "-I", "-S", str(LAUNCHER), *command]
    said: dict[str, float] = json.loads(
        subprocess.run(launched, check=True, stdout=subprocess.PIPE, env=environment).stdout
    )
    if said["status"]:
        raise RuntimeError(f"{' '.join(command)} failed with status {said['status']:.0f}")
    return said


def why(ground: Playground, environment: Mapping[str, str] = COMPILED) -> dict[str, Any]:
    """Explain the benchmark's own cgroup and all below it."""
    return run([sys.executable, "-m", "kmemscope", "why", ground.path, "--require", "exact"], environment=environment)


def startup() -> dict[str, Any]:
    """Measure what comes before any look at the machine."""
    return {
        "python_alone": run([sys.executable, "-c", "pass"]),
        "version": run([sys.executable, "-m", "kmemscope", "--version"]),
        "imports_of_why": run([sys.executable, "-c", IMPORTS]),
    }


def load() -> dict[str, Any]:
    """Load all programs, as the census does."""
    seconds = []
    for _ in range(LOADS):
        started = time.perf_counter()
        programs = CensusPrograms(ENTRIES)
        seconds.append(time.perf_counter() - started)
        programs.close()
    return {"runs": LOADS, "min_s": rounded(min(seconds)), "median_s": rounded(median(seconds))}
