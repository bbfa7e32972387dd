"""Options that several commands share, and what they decide: where to look, how to write."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from kmemscope.model.errors import LevelNotMet
from kmemscope.model.node import Level, Limitation
from kmemscope.model.observation import Observation
from kmemscope.present.style import Style


def unless_given(command: bool) -> dict[str, Any]:
    """Give a command's own options no default, so that `--json why X` means what `why X --json` means."""
    return {"default": argparse.SUPPRESS} if command else {}


def add_output(parser: argparse.ArgumentParser, *, command: bool) -> None:
    """Add the options that say how to write."""
    default = unless_given(command)
    parser.add_argument("--json", action="store_true", help="write JSON", **default)
    parser.add_argument("--no-color", action="store_true", help="no colours (also: NO_COLOR)", **default)
    parser.add_argument("-v", "--verbose", action="store_true", help="leave nothing out", **default)


def add_source(parser: argparse.ArgumentParser, *, command: bool) -> None:
    """Add the options that say where to look."""
    default = unless_given(command)
    parser.add_argument(
        "--from", dest="source", metavar="FILE", type=Path, help="read a capture, not this machine", **default
    )
    add_machine(parser, command=command)


def add_machine(parser: argparse.ArgumentParser, *, command: bool) -> None:
    """Add the options of a look at this machine."""
    default = unless_given(command)
    parser.add_argument(
        "--root",
        metavar="DIR",
        type=Path,
        help="where the host's /proc and /sys are mounted (default: /)",
        **(default or {"default": Path("/")}),
    )
    parser.add_argument(
        "--require",
        metavar="LEVEL",
        choices=[level.value for level in Level],
        help=f"exit with 4 below this level: {', '.join(level.value for level in Level)}",
        **default,
    )


def style(options: argparse.Namespace) -> Style:
    """Colours only for a terminal, and only if wanted; lines as long as they are for anything else."""
    terminal = sys.stdout is not None and sys.stdout.isatty()
    plain = options.no_color or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return Style(terminal and not plain, shutil.get_terminal_size().columns if terminal else None)


def observation(options: argparse.Namespace, target: str | None = None) -> Observation:
    """Read the capture that --from names, or look at this machine: at one target, or at all of it.

    Raises LevelNotMet when the answer is below the level that --require names.
    """
    if options.source:
        from kmemscope.record.capture import read  # noqa: PLC0415 - a live look never needs it

        found = read(options.source)
    else:
        from kmemscope.observe.machine import Machine  # noqa: PLC0415 - a capture never needs it

        with Machine.open(options.root) as machine:
            found = machine.look() if target is None else machine.look_at(target)
    require(found.level, options.require, found.limitations)
    return found


def require(level: Level, required: str | None, missing: tuple[Limitation, ...]) -> None:
    """Raise LevelNotMet when a level is below the required one; the first thing missing says why."""
    order = (Level.INSIDE, Level.COUNTERS, Level.EXACT)
    if required and order.index(level) < order.index(Level(required)):
        raise LevelNotMet(
            f"level {required} is not to be had here, only {level.value}",
            why=f"{missing[0].what}: {missing[0].why}" if missing else "",
            todo=missing[0].todo if missing else "",
        )
