"""Running the command line as users do: as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kmemscope as package

SOURCES = Path(package.__file__).parents[1]
CAPTURE = Path(__file__).parents[1] / "captures" / "shop.kms"
SECONDS = 60


@dataclass(frozen=True)
class Done:
    """How a run ended and what it said."""

    status: int
    out: str
    err: str

    @property
    def complaint(self) -> tuple[str, str, str]:
        """What, why and what to do; fails where it is no complaint of ours, or has more to say."""
        what, *rest = self.err.rstrip("\n").split("\n")
        assert what.startswith("kmemscope: "), self.err
        why = "\n".join(line for line in rest if line.startswith(("  why: ", "       ")))
        todo = "\n".join(line for line in rest if line.startswith("  try: "))
        assert [what, *rest] == list(filter(None, [what, *why.split("\n"), todo])), self.err
        return what.removeprefix("kmemscope: "), why.removeprefix("  why: "), todo.removeprefix("  try: ")


def environment(**more: str) -> dict[str, str]:
    """Without what the tests run with; finds the same kmemscope, installed or in the source tree."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LC_", "LANG", "NO_"))}
    return {**kept, "PYTHONPATH": str(SOURCES), "LC_ALL": "C.UTF-8", **more}


def kmemscope(*words: str, env: dict[str, str] | None = None, **more: Any) -> Done:
    """Run one command."""
    return run([sys.executable, "-m", "kmemscope", *words], env=env or environment(), **more)


def run(command: list[str], **more: Any) -> Done:
    """Run a process to its end; what is not text in its output is an error."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | more
    done = subprocess.run(command, check=False, timeout=SECONDS, **streams)
    return Done(done.returncode, (done.stdout or b"").decode(), (done.stderr or b"").decode())
