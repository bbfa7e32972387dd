"""`kmemscope capture TARGET -o FILE`: all that was observed, in one file, to be explained elsewhere."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from kmemscope.cli import options as shared
from kmemscope.cli import output
from kmemscope.cli.why import TARGET_HELP


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps this class private
    """Add the command."""
    parser = commands.add_parser("capture", help="keep all that is observed in a file", description=__doc__)
    parser.add_argument("target", metavar="TARGET", nargs="?", help=f"{TARGET_HELP}; none for the whole node")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, required=True, help="the capture (*.kms)")
    shared.add_machine(parser, command=True)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Look at the target and write the capture."""
    from kmemscope.model.units import size  # noqa: PLC0415 - see cli/__init__.py
    from kmemscope.present.safe import safe  # noqa: PLC0415
    from kmemscope.record.capture import check_place, write  # noqa: PLC0415

    check_place(options.output)  # before the work, not after it
    write(shared.observation(options, options.target), options.output)
    output.write(f"{safe(str(options.output))}: {size(options.output.stat().st_size)}\n")
    return 0
