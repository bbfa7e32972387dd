"""Make the memory of one workload, say so on stdout, and hold it until stdin is closed.

The line is `READY {"made": N, ...}`, or `UNAVAILABLE {"needs": "..."}` where this kernel or these rights
cannot run the workload. Without a name, the workloads are listed.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack

from tests.workloads.registry import WORKLOADS
from tests.workloads.workload import UnavailableError


def say(word: str, **facts: object) -> None:
    """One line that the test waits for."""
    print(word, json.dumps(facts), flush=True)


def run(name: str, count: str | None) -> int:
    """Hold the memory of one workload; the exit status is 1 where it cannot be made."""
    workload = WORKLOADS[name]
    with ExitStack() as keep:
        try:
            made = workload.make(int(count) if count else workload.count, keep)
        except UnavailableError as need:
            say("UNAVAILABLE", needs=str(need))
            return 1
        say("READY", made=made, name=name, pid=os.getpid())
        sys.stdin.read()
    return 0


def main(arguments: list[str]) -> int:
    """Run a workload by name, or list them."""
    match arguments:
        case [name, *count] if name in WORKLOADS and len(count) <= 1:
            return run(name, *count or (None,))
        case []:
            for each in WORKLOADS.values():
                print(f"{each.name:22} {each.count:>6}  {each.summary}")
            return 0
    print(f"usage: python -m tests.workloads [NAME [COUNT]], where NAME is one of {', '.join(WORKLOADS)}")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
