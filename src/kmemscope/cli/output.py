"""Standard output and error: an answer is taken whole or its lack is said, whatever is there instead of a reader."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from kmemscope.model.errors import OutputFailed

WHAT = "the answer could not be written to standard output"


def write(text: str) -> None:
    """Write an answer; what the terminal's encoding lacks is written as escapes.

    Raises OutputFailed, and BrokenPipeError when the reader has seen enough (`| head`).
    """
    if sys.stdout is None:
        raise OutputFailed(WHAT, why="it is closed", todo="do not close it (>&-); /dev/null takes what is not wanted")
    encoding = sys.stdout.encoding or "utf-8"
    with delivery():
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()


def tell(text: str) -> None:
    """Write about an answer to standard error; where that cannot be done, the exit status has to say it."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        abandon(sys.stderr)


def finish() -> None:
    """Send what is still buffered, as the words of --help. Raises as `write`."""
    if sys.stdout is not None:
        with delivery():
            sys.stdout.flush()


@contextmanager
def delivery() -> Iterator[None]:
    """Turn a failure to write into an error, once."""
    try:
        yield
    except OSError as error:
        abandon(sys.stdout)
        if isinstance(error, BrokenPipeError):
            raise
        raise OutputFailed(WHAT, why=error.strerror or str(error), todo="make room, or send it elsewhere") from error


def abandon(stream: TextIO) -> None:
    """Send to nowhere what is still buffered: it must not fail again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
