"""bpf(2), the few commands that we use, through ctypes.

Layouts are those of `union bpf_attr` in include/uapi/linux/bpf.h, which only ever grows at its end.
Every function raises OSError with the kernel's errno.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from typing import Any

SYSCALL_NUMBER = {"x86_64": 321, "aarch64": 280}

MAP_CREATE = 0
MAP_LOOKUP = 1
MAP_UPDATE = 2
PROG_LOAD = 5
PROG_TEST_RUN = 10
LOOKUP_BATCH = 24
LOOKUP_AND_DELETE_BATCH = 25
LINK_CREATE = 28
ITER_CREATE = 33

MAP_TYPE_HASH = 1
MAP_TYPE_ARRAY = 2
PROG_TYPE_SYSCALL = 31
ATTACH_ITER = 28
PROG_SLEEPABLE = 16

BATCH_ENTRIES = 8192

libc = ctypes.CDLL(None, use_errno=True)
address = ctypes.addressof


def syscall_number() -> int:
    """Number of bpf(2) on this machine."""
    machine = os.uname().machine
    number = SYSCALL_NUMBER.get(machine)
    if number is None:
        raise OSError(errno.ENOSYS, f"bpf(2) on {machine} is not known to this program")
    return number


def bpf(command: int, attributes: bytes) -> tuple[int, bytes]:
    """Call bpf(2); returns its result and the attributes as the kernel left them."""
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    result = libc.syscall(syscall_number(), command, buffer, len(attributes))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result, buffer.raw


def map_create(kind: int, key_bytes: int, value_bytes: int, entries: int, name: bytes = b"") -> int:
    """Make a map; returns its descriptor."""
    return bpf(MAP_CREATE, struct.pack("=7I16s", kind, key_bytes, value_bytes, entries, 0, 0, 0, name))[0]


def map_update(fd: int, key: bytes, value: bytes) -> None:
    """Put one value into a map."""
    keys = ctypes.create_string_buffer(key, len(key))
    values = ctypes.create_string_buffer(value, len(value))
    bpf(MAP_UPDATE, struct.pack("=IIQQQ", fd, 0, address(keys), address(values), 0))


def map_lookup(fd: int, key: bytes, value_bytes: int) -> bytes:
    """Read one value of a map."""
    keys = ctypes.create_string_buffer(key, len(key))
    values = ctypes.create_string_buffer(value_bytes)
    bpf(MAP_LOOKUP, struct.pack("=IIQQQ", fd, 0, address(keys), address(values), 0))
    return values.raw


Row = tuple[Any, ...]


def map_items(fd: int, key: struct.Struct, value: struct.Struct, *, empty: bool) -> Iterator[tuple[Row, Row]]:
    """Read a whole hash map, some thousand entries a call, and empty it if asked (batches: kernel 5.6)."""
    command = LOOKUP_AND_DELETE_BATCH if empty else LOOKUP_BATCH
    room = BATCH_ENTRIES
    position = ctypes.create_string_buffer(4)
    started = False
    more = True
    while more:
        keys = ctypes.create_string_buffer(room * key.size)
        values = ctypes.create_string_buffer(room * value.size)
        here = ctypes.create_string_buffer(position.raw, 4)
        attributes = ctypes.create_string_buffer(
            struct.pack(
                "=QQQQIIQQ",
                address(here) if started else 0, address(position), address(keys), address(values), room, fd, 0, 0,
            ),
            56,
        )  # fmt: skip
        # Not bpf(): the number of entries is written back even when the call says ENOENT, "that was the last".
        if libc.syscall(syscall_number(), command, attributes, 56) < 0:
            error = ctypes.get_errno()
            if error == errno.ENOSPC:  # one hash bucket holds more than there is room for
                room *= 4
                continue
            if error != errno.ENOENT:
                raise OSError(error, os.strerror(error))
            more = False
        started = True
        found: int = struct.unpack_from("=I", attributes, 32)[0]
        yield from zip(
            key.iter_unpack(ctypes.string_at(keys, found * key.size)),
            value.iter_unpack(ctypes.string_at(values, found * value.size)),
            strict=True,
        )


def prog_run(fd: int, context: bytes) -> tuple[int, bytes]:
    """Run a syscall program once; returns its return value and the context as it left it."""
    buffer = ctypes.create_string_buffer(context, len(context))
    _, out = bpf(
        PROG_TEST_RUN,
        struct.pack("=IIIIQQIIIIQQII", fd, 0, 0, 0, 0, 0, 0, 0, len(context), 0, address(buffer), 0, 0, 0),
    )
    return struct.unpack_from("=i", out, 4)[0], buffer.raw


def prog_load(instructions: bytes, map_fd: int, log: ctypes.Array[ctypes.c_char] | None) -> int:
    """Load a syscall program that uses one map; the verifier writes to `log`. Returns its descriptor."""
    code = ctypes.create_string_buffer(instructions, len(instructions))
    license_text = ctypes.create_string_buffer(b"Dual BSD/GPL")
    fds = (ctypes.c_int * 1)(map_fd)
    attributes = struct.pack(
        "=IIQQIIQII16sII",
        PROG_TYPE_SYSCALL, len(instructions) // 8, address(code), address(license_text),
        1 if log else 0, len(log) if log else 0, address(log) if log else 0,
        0, PROG_SLEEPABLE, b"kmemscope_load", 0, 0,
    ) + struct.pack("=IIQIIQIIIIQ", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, address(fds))  # fmt: skip
    return bpf(PROG_LOAD, attributes)[0]


def iter_run(prog_fd: int, read_bytes: int) -> None:
    """Run an iterator program over all its objects, with bounded reads."""
    link = bpf(LINK_CREATE, struct.pack("=IIIIQII", prog_fd, 0, ATTACH_ITER, 0, 0, 0, 0))[0]
    try:
        reader = bpf(ITER_CREATE, struct.pack("=II", link, 0))[0]
        try:
            while os.read(reader, read_bytes):
                pass
        finally:
            os.close(reader)
    finally:
        os.close(link)
