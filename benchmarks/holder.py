"""A child process that makes kernel memory and holds it: SET, wait for a line, make, READY, wait for the end of input.

`names CGROUP COUNT [CPU]` looks for COUNT files that are not there: the kernel remembers each, in a dentry that the
cgroup pays for. With a CPU it does so there, and lets another process have its turn after each.
`visit CGROUP...` looks for some such files in each of many cgroups.

The files are looked for in a sysfs of a network namespace of this process's own, which takes all names along when the
process ends, however it ends. tmpfs would not remember them.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

CLONE_NEWNET = 0x40000000
CREATE = 6
"""FSCONFIG_CMD_CREATE, include/uapi/linux/mount.h."""
FSOPEN, FSCONFIG, FSMOUNT = 430, 431, 432
"""The same on all architectures."""
VISITED_NAMES = 20

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int, what: str) -> int:
    """Give the result of a call of libc, or raise OSError."""
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def own_sysfs() -> int:
    """Descriptor of the root of a sysfs that nobody else sees."""
    checked(libc.unshare(CLONE_NEWNET), "unshare")
    context = checked(libc.syscall(FSOPEN, b"sysfs", 0), "fsopen")
    checked(libc.syscall(FSCONFIG, context, CREATE, None, None, 0), "fsconfig")
    return checked(libc.syscall(FSMOUNT, context, 0, 0), "fsmount")


def enter(cgroup: str) -> None:
    """Let a cgroup pay from now on."""
    (Path(cgroup) / "cgroup.procs").write_text(str(os.getpid()))


def look_for(root: int, count: int, prefix: str = "") -> None:
    """Look for files that are not there. The names are short, so that a dentry holds them."""
    for each in range(count):
        os.access(f"{prefix}n{each:x}", os.F_OK, dir_fd=root)


def look_in_turns(root: int, count: int) -> None:
    """Look for files that are not there, and let another process on this CPU do the same after each."""
    for each in range(count):
        os.access(f"n{each:x}", os.F_OK, dir_fd=root)
        os.sched_yield()


def say(word: str) -> None:
    """Tell the benchmark how far we are."""
    print(word, flush=True)


def main(arguments: list[str]) -> None:
    """Make what the arguments say."""
    root = own_sysfs()
    match arguments:
        case ["names", cgroup, count]:
            enter(cgroup)
            say("SET")
            sys.stdin.readline()
            look_for(root, int(count))
        case ["names", cgroup, count, cpu]:
            enter(cgroup)
            os.sched_setaffinity(0, {int(cpu)})
            say("SET")
            sys.stdin.readline()
            look_in_turns(root, int(count))
        case ["visit", *cgroups]:
            say("SET")
            sys.stdin.readline()
            for number, cgroup in enumerate(cgroups):
                enter(cgroup)
                look_for(root, VISITED_NAMES, f"{number:x}-")
        case _:
            sys.exit(__doc__)
    say("READY")
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1:])
