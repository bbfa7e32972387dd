"""Becomes a command for which bpf(2) fails with an error number: `python -m tests.cli.refusing ERRNO COMMAND…`.

That is what container runtimes do: a seccomp filter answers the system call before the kernel looks at it.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

SYSCALL = {"x86_64": 321, "aarch64": 280}
PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ALLOW = 0x7FFF0000
SECCOMP_RET_ERRNO = 0x00050000
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06


def instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def refuse(number: int) -> None:
    """From now on, and in all children, bpf(2) fails with this error."""
    program = (
        instruction(LOAD, 0)  # seccomp_data.nr
        + instruction(JUMP_IF_EQUAL, SYSCALL[platform.machine()], 0, 1)
        + instruction(RETURN, SECCOMP_RET_ERRNO | number)
        + instruction(RETURN, SECCOMP_RET_ALLOW)
    )
    code = ctypes.create_string_buffer(program, len(program))
    fprog = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, fprog):
        raise OSError(ctypes.get_errno(), "seccomp was refused")


if __name__ == "__main__":
    refuse(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])
