"""`kmemscope`: every cgroup of this node, largest first."""

from __future__ import annotations

import argparse

from kmemscope.cli import options as shared
from kmemscope.cli import output


def register(parser: argparse.ArgumentParser) -> None:
    """Make the table what runs when no command is named."""
    shared.add_output(parser, command=False)
    shared.add_source(parser, command=False)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Look at the node, or at a capture, and write the table."""
    from kmemscope.explain.diagnosis import view  # noqa: PLC0415 - see cli/__init__.py
    from kmemscope.present.as_json import dumped, node_json  # noqa: PLC0415
    from kmemscope.present.node_text import node_text  # noqa: PLC0415

    answer = view(shared.observation(options))
    if options.json:
        output.write(dumped(node_json(answer)))
    else:
        output.write(node_text(answer, shared.style(options), verbose=options.verbose))
    return 0
