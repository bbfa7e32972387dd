"""What a user waits for: whole commands, from the start of python to the last line."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.playground import Playground
from benchmarks.subject import ENTRIES
from benchmarks.timing import rounded
from kmemscope.observe.bpf.census_programs import CensusPrograms

LAUNCHER = Path(__file__).parent / "launcher.py"
RUNS = 7
LOADS = 7
MIB = 1 << 20
IMPORTS = "import kmemscope.cli.why, kmemscope.observe.machine, kmemscope.explain.diagnosis, kmemscope.present.why_text"


def run(command: Sequence[str], runs: int = RUNS) -> dict[str, Any]:
    """Run a command several times. Raises RuntimeError when it fails."""
    found = []
    for _ in range(runs):
        launched = [sys.executable, "-I", "-S", str(LAUNCHER), *command]
        found.append(json.loads(subprocess.run(launched, check=True, stdout=subprocess.PIPE).stdout))
        if found[-1]["status"]:
            raise RuntimeError(f"{' '.join(command)} failed with status {found[-1]['status']}")
    return {
        "runs": runs,
        "min_s": rounded(min(each["seconds"] for each in found)),
        "median_s": rounded(median(each["seconds"] for each in found)),
        "cpu_min_s": rounded(min(each["cpu_seconds"] for each in found)),
        "peak_rss_mib": rounded(max(each["peak_rss_bytes"] for each in found) / MIB),
    }


def why(ground: Playground) -> dict[str, Any]:
    """Explain the benchmark's own cgroup and all below it."""
    return run([sys.executable, "-m", "kmemscope", "why", ground.path, "--require", "exact"])


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
