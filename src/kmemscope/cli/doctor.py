"""`kmemscope doctor`: what this node and these rights allow, and what each missing thing costs."""

from __future__ import annotations

import argparse
from typing import Any

from kmemscope.cli import options as shared
from kmemscope.cli import output


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps this class private
    """Add the command."""
    parser = commands.add_parser("doctor", help="say what this node and these rights allow", description=__doc__)
    shared.add_output(parser, command=True)
    shared.add_machine(parser, command=True)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Try everything once and write what was found."""
    from kmemscope.observe.checkup import examine  # noqa: PLC0415 - see cli/__init__.py
    from kmemscope.present.as_json import doctor_json, dumped  # noqa: PLC0415
    from kmemscope.present.doctor_text import doctor_text  # noqa: PLC0415

    checkup = examine(options.root)
    shared.require(checkup.level, options.require, checkup.limitations)
    if options.json:
        output.write(dumped(doctor_json(checkup)))
    else:
        output.write(doctor_text(checkup, shared.style(options)))
    return 0
