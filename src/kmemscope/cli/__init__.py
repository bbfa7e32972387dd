"""The command line: one module a command, each parses its words, calls the rooms, and presents.

Imports are made when a command runs: `kmemscope --version` loads next to nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from kmemscope import __version__
from kmemscope.cli import output
from kmemscope.model.errors import KmemscopeError

COMMANDS = ("table", "why", "capture", "doctor", "schema")
FAULT = 1
INTERRUPTED = 130
BROKEN_PIPE = 141


class Parser(argparse.ArgumentParser):
    """Wrong usage in the form of all our errors: what, why, what to do."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Print the error and exit with 2."""
        output.tell(f"kmemscope: {message}\ntry: {self.prog} --help\n")
        raise SystemExit(2)

    def print_help(self, file: Any = None) -> None:  # noqa: ANN401 - of a type known to checkers only
        """Write the help like an answer, so that a failure to write it is one."""
        if file is None:
            output.write(self.format_help())
        else:
            super().print_help(file)


def parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    root = Parser(
        prog="kmemscope",
        description="Says what a container's kernel memory is. Without a command: every cgroup of this node.",
    )
    root.add_argument("--version", action="version", version=f"kmemscope {__version__}")
    commands = root.add_subparsers(metavar="COMMAND", dest="command", parser_class=Parser)
    for name in COMMANDS:
        import_module(f"kmemscope.cli.{name}").register(root if name == "table" else commands)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status of docs/contract.md."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = run(words)
        output.finish()
    except KmemscopeError as error:
        complain(error)
        return error.exit_status
    except BrokenPipeError:  # the reader has seen enough (`| head`)
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if "-v" in words or "--verbose" in words:
            raise
        complain(
            KmemscopeError(
                "a fault of kmemscope itself",
                why=f"{type(error).__name__}: {error}",
                todo="report it with the output of the same command and -v",
            )
        )
        return FAULT
    return status


def run(words: Sequence[str]) -> int:
    """Find the command and run it."""
    if list(words) == ["--version"]:
        output.write(f"kmemscope {__version__}\n")  # before anything else is loaded
        return 0
    try:
        options = parser().parse_args(words)
    except SystemExit as done:  # --help, or wrong usage
        return done.code if isinstance(done.code, int) else FAULT
    status: int = options.run(options)
    return status


def complain(error: KmemscopeError) -> None:
    """Print an error: what, why, what to do."""
    from kmemscope.present.safe import safe  # noqa: PLC0415 - see the top of this module

    lines = [f"kmemscope: {safe(error.what, 2000)}"]
    for label, text in (("why", error.why), ("try", error.todo)):
        if text:
            first, *rest = (safe(line, 2000) for line in text.splitlines())
            lines += [f"  {label}: {first}", *(f"       {line}" for line in rest)]
    output.tell("\n".join(lines) + "\n")
