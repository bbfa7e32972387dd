"""Measure everything and print one JSON document; progress goes to standard error."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import ExitStack
from types import FrameType
from typing import Any

from benchmarks import cold
from benchmarks.against_floor import against_floor
from benchmarks.calls import clock
from benchmarks.objects import cost_of_objects
from benchmarks.playground import Playground
from benchmarks.subject import Subject
from kmemscope import __version__

EXTRA_CGROUPS = (200, 2_000)
INTERRUPTED = 130


def machine() -> dict[str, Any]:
    """Say on what this was measured; the load average tells how much others disturbed it."""
    return {
        "kernel": os.uname().release,
        "architecture": os.uname().machine,
        "cpus": os.cpu_count(),
        "python": sys.version.split()[0],
        "kmemscope": __version__,
        "load_average": os.getloadavg(),
        "niceness": os.nice(0),
    }


def progress(text: str) -> None:
    """Say what is being done."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def measure() -> dict[str, Any]:
    """Measure everything; the cgroups, processes and programs that this takes are gone afterwards."""
    started = time.perf_counter()
    document: dict[str, Any] = {"machine": machine()}
    with ExitStack() as stack:
        progress("starting commands")
        document["startup"] = cold.startup()
        document["load"] = cold.load()
        ground = stack.enter_context(Playground.made())
        document["why"] = {
            "as_is": cold.why(ground),
            "as_is_not_compiled": cold.why(ground, cold.NOT_COMPILED),
        }
        for number in EXTRA_CGROUPS:
            progress(f"{number} cgroups")
            with ground.cgroups(number):
                document["why"][f"{number}_extra_cgroups"] = cold.why(ground)
        subject = stack.enter_context(Subject.loaded())
        with clock() as calls:
            progress("the floor")
            document["floor"] = against_floor(subject)
            progress("charged objects")
            document["objects"], document["why"]["objects_of_one_owner"] = cost_of_objects(
                subject, ground, lambda: cold.why(ground)
            )
            document["longest_calls"] = calls.figures()
    document["machine"]["load_average_after"] = os.getloadavg()
    document["seconds"] = round(time.perf_counter() - started, 1)
    return document


def stop(_signal: int, _frame: FrameType | None) -> None:
    """Clean up on SIGTERM as on Ctrl-C."""
    raise KeyboardInterrupt


def main() -> int:
    """Print the document."""
    signal.signal(signal.SIGTERM, stop)
    try:
        document = measure()
    except KeyboardInterrupt:
        return INTERRUPTED
    print(json.dumps(document, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
