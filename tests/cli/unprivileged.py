"""Running the command line as nobody, who can read neither the source tree nor, perhaps, this Python.

So the sources are copied to where everybody can read them, and all modules are loaded before the rights are given up.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.cli.running import SOURCES, Done, environment, run

NOBODY = 65534
BECOME = f"""
import ctypes, difflib, gettext, importlib, locale, os, pkgutil, shutil, sys, tempfile, traceback
import kmemscope
for module in pkgutil.walk_packages(kmemscope.__path__, "kmemscope."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: its own /proc is its own again, as after execve(2)
sys.exit(kmemscope.cli.main())
"""


@dataclass(frozen=True)
class Nobody:
    """A user without rights, and a folder that it can read."""

    folder: Path

    def kmemscope(self, *words: str, **more: Any) -> Done:
        """Run one command."""
        command = [sys.executable, "-B", "-c", BECOME, *words]
        return run(command, cwd=self.folder, env=environment(PYTHONPATH=str(self.folder)), **more)


@contextmanager
def nobody_with_sources() -> Iterator[Nobody]:
    """Copy the sources for nobody; skips the test where we cannot become nobody."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become nobody")
    with TemporaryDirectory(prefix="kmemscope-nobody-") as folder:
        user = Nobody(Path(folder))
        shutil.copytree(SOURCES / "kmemscope", user.folder / "kmemscope", ignore=shutil.ignore_patterns("__pycache__"))
        subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
        yield user
