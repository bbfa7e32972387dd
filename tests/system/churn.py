"""Cgroups or processes that come and go as fast as they can: `python -m tests.system.churn`.

Says `DONE {json}` when as many were made as asked for or the time is up, then waits for the end of its stdin.
Cgroups are entered, made to pay for some open files and removed, so that the files change their payer while a
census walks.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from pathlib import Path

FILES_EACH = 5
FILES_HELD = 300


def cgroups(parent: Path, home: Path, count: int, until: float) -> dict[str, int]:
    """Make and remove cgroups below `parent`, living in `home` in between."""
    files: deque[int] = deque()
    made = 0
    while made < count and time.monotonic() < until:
        passing = parent / f"passing-{made}"
        passing.mkdir()
        (passing / "cgroup.procs").write_text("0")
        files.extend(os.eventfd(0) for _ in range(FILES_EACH))
        (home / "cgroup.procs").write_text("0")
        passing.rmdir()
        while len(files) > FILES_HELD:
            os.close(files.popleft())
        made += 1
    return {"made": made, "files": len(files)}


def processes(count: int, until: float) -> dict[str, int]:
    """Fork children that exit at once."""
    made = 0
    while made < count and time.monotonic() < until:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        made += 1
    return {"made": made}


def main(what: str, count: str, seconds: str, *directories: str) -> None:
    """Make `count` of something, but for no longer than `seconds`."""
    until = time.monotonic() + float(seconds)
    if what == "cgroups":
        parent, home = (Path(each) for each in directories)
        done = cgroups(parent, home, int(count), until)
    else:
        done = processes(int(count), until)
    print("DONE", json.dumps(done), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
