"""System calls that the standard library lacks, with errors raised as OSError.

Calls that glibc wraps go through it; newer or thread-local ones go by number. Numbers above 423 are the
same on every architecture, the few older ones are listed for the two that the project builds for.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform

from tests.workloads.workload import UnavailableError

OPEN_TREE = 428
FSOPEN = 430
FSCONFIG = 431
FSMOUNT = 432
IO_URING_SETUP = 425

_OLDER_NUMBERS = {
    "x86_64": {"setgroups": 116, "add_key": 248, "keyctl": 250, "bpf": 321, "seccomp": 317},
    "aarch64": {"setgroups": 159, "add_key": 217, "keyctl": 219, "bpf": 280, "seccomp": 277},
}

_REFUSED = {errno.ENOSYS, errno.EPERM, errno.EACCES, errno.ENODEV, errno.EAFNOSUPPORT, errno.EOPNOTSUPP}

libc = ctypes.CDLL(None, use_errno=True)

Argument = int | bytes | ctypes.Array[ctypes.c_char] | None


def older_number(name: str) -> int:
    """Number of a system call that differs between architectures."""
    machine = platform.machine()
    try:
        return _OLDER_NUMBERS[machine][name]
    except KeyError:
        raise UnavailableError(f"the number of {name}(2) on {machine}") from None


def checked(result: int, what: str) -> int:
    """Pass on the result of a libc call, or raise what errno says."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def system_call(number: int, *arguments: Argument, what: str) -> int:
    """Make a system call by number. Integers are passed as 64 bits, whatever their size."""
    words = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    libc.syscall.restype = ctypes.c_long
    result: int = libc.syscall(ctypes.c_long(number), *words)
    return checked(result, what)


def needed(need: str, error: OSError) -> UnavailableError | OSError:
    """Turn the kernel's refusal into a reason to skip; any other error stays what it is."""
    if error.errno in _REFUSED:
        return UnavailableError(f"{need} ({error.strerror})")
    return error
