"""`kmemscope schema NAME`: the JSON schema of an answer."""

from __future__ import annotations

import argparse
from importlib import resources
from typing import Any

from kmemscope.cli import output

NAMES = ("explanation", "node", "doctor")


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps this class private
    """Add the command."""
    parser = commands.add_parser("schema", help="write the JSON schema of an answer", description=__doc__)
    parser.add_argument("name", metavar="NAME", choices=NAMES, help=", ".join(NAMES))
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write a schema."""
    output.write((resources.files("kmemscope.present") / "schemas" / f"{options.name}.json").read_text())
    return 0
