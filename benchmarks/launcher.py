"""Runs one command and prints its wall seconds, CPU seconds, peak RSS in bytes and exit status as JSON.

A process of its own, and a small one: the kernel's peak of a process includes what it was before exec, which is a copy
of whoever started it. Run with `python -I -S`.
"""

import json
import os
import sys
import time

KIB = 1024


def main(command: list[str]) -> None:
    """Run the command with its output thrown away."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    started = time.perf_counter()
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, nothing, 1)])
    _, status, used = os.wait4(pid, 0)
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - started,
                "cpu_seconds": used.ru_utime + used.ru_stime,
                "peak_rss_bytes": used.ru_maxrss * KIB,
                "status": os.waitstatus_to_exitcode(status),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1:])
