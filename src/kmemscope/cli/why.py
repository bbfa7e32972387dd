"""`kmemscope why TARGET`: the whole diagnosis of one target."""

from __future__ import annotations

import argparse
from typing import Any

from kmemscope.cli import options as shared
from kmemscope.cli import output
from kmemscope.model.errors import UsageError

TARGET_HELP = "cgroup path, pid:N, container name or id prefix, or self"


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps this class private
    """Add the command."""
    parser = commands.add_parser("why", help="explain one target's kernel memory", description=__doc__)
    parser.add_argument("target", metavar="TARGET", nargs="?", help=TARGET_HELP)
    shared.add_output(parser, command=True)
    shared.add_source(parser, command=True)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Look at the target, or at a capture of it, and write the explanation."""
    from kmemscope.explain.diagnosis import explain  # noqa: PLC0415 - see cli/__init__.py
    from kmemscope.explain.selection import select  # noqa: PLC0415
    from kmemscope.present.as_json import dumped, why_json  # noqa: PLC0415
    from kmemscope.present.why_text import why_text  # noqa: PLC0415

    if options.target is None and not options.source:
        raise UsageError("why needs a target", todo=f"kmemscope why TARGET, where TARGET is a {TARGET_HELP}")
    observation = shared.observation(options, options.target)
    if options.source and options.target is not None:
        observation = select(observation, options.target)
    answer = explain(observation)
    if options.json:
        output.write(dumped(why_json(answer)))
    else:
        output.write(why_text(answer, shared.style(options), verbose=options.verbose))
    return 0
