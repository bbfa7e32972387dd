"""Loads a light skeleton: a program that makes the maps and loads the other programs, run once.

What it needs is bpf(2) and two files of the wheel (see bpf/build.py). The loader's context, as libbpf 1.1 lays it out
(tools/lib/bpf/skel_internal.h): sz, flags, log_level, log_size (u32 each), log_buf (u64); then for each map map_fd,
max_entries (u32), initial_value (u64); then for each program prog_fd (u32).
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kmemscope.model.errors import Damaged, KernelUnsupported, KmemscopeError, NotPermitted
from kmemscope.observe.bpf import syscalls

FORMAT = 1
HEADER = struct.Struct("=IIIIQ")
MAP = struct.Struct("=IIQ")
PROGRAM = struct.Struct("=I")
BTF = Path("/sys/kernel/btf/vmlinux")
OBJECTS = Path(__file__).parent / "objects"
"""Not importlib.resources: that takes 5 ms to import, and we are never run from a zip file."""
LOG_BYTES = (1 << 16, 1 << 20, 1 << 24)
LOG_LINES = 12

ROOT_WITHOUT = "give it CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN, CAP_SYS_PTRACE and a seccomp profile that allows bpf(2)"
CAPABILITIES = "run as root, or with CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN and CAP_SYS_PTRACE"


@dataclass(frozen=True, slots=True)
class Description:
    """What the two files of a skeleton hold."""

    maps: tuple[str, ...]
    programs: tuple[str, ...]
    data: bytes
    instructions: bytes


@dataclass(frozen=True, slots=True)
class Loaded:
    """Descriptors of the maps and programs of one skeleton; close() frees them in the kernel."""

    maps: Mapping[str, int]
    programs: Mapping[str, int]

    def close(self) -> None:
        """Give everything back to the kernel."""
        for fd in (*self.maps.values(), *self.programs.values()):
            os.close(fd)


def describe(name: str, folder: Path = OBJECTS) -> Description:
    """Read a skeleton, from the package if no other folder is given.

    Raises Damaged when it is missing, of another format, or not what was built.
    """
    try:
        facts = json.loads((folder / f"{name}.json").read_text())
        blob = (folder / f"{name}.bin").read_bytes()
    except (OSError, ValueError) as error:
        raise Damaged(
            f"the BPF program '{name}' is not in this installation",
            why=str(error),
            todo="install the wheel, or run `make build` in a source tree",
        ) from error
    try:
        if facts["format"] != FORMAT or hashlib.sha256(blob).hexdigest() != facts["sha256"]:
            raise ValueError("they do not fit together")
        cut = int(facts["data_bytes"])
        return Description(tuple(facts["maps"]), tuple(facts["programs"]), blob[:cut], blob[cut:])
    except (ValueError, TypeError, LookupError) as error:
        raise Damaged(
            f"the BPF program '{name}' is not the one that was built", why=str(error), todo="install kmemscope again"
        ) from error


def load(name: str, entries: Mapping[str, int], folder: Path = OBJECTS) -> Loaded:
    """Load all programs of a skeleton into the kernel; `entries` sizes maps by name.

    Raises NotPermitted without the rights, KernelUnsupported (with the verifier's last words) when the kernel
    refuses, Damaged when the installation is broken.
    """
    if not BTF.exists():
        raise KernelUnsupported(
            "this kernel does not describe its types (no /sys/kernel/btf/vmlinux)",
            why="it was built without CONFIG_DEBUG_INFO_BTF",
            todo="run a kernel with BTF, as all current distributions ship",
        )
    skeleton = describe(name, folder)
    with asking("bpf(2) was refused"):
        data_fd = syscalls.map_create(syscalls.MAP_TYPE_ARRAY, 4, len(skeleton.data), 1, b"kmemscope_load")
    try:
        with asking("bpf(2) was refused"):
            return run_loader(skeleton, data_fd, entries)
    finally:
        os.close(data_fd)


def run_loader(skeleton: Description, data_fd: int, entries: Mapping[str, int]) -> Loaded:
    """Load and run the loader program; on failure once more with a log, for the reason."""
    result, context = attempt(skeleton, data_fd, entries, None)
    if result >= 0:
        return descriptors(skeleton, context)
    words = ""
    for size in LOG_BYTES:
        log = ctypes.create_string_buffer(size)
        again, context = attempt(skeleton, data_fd, entries, log)
        if again >= 0:  # a signal had come in between
            return descriptors(skeleton, context)
        words = log.value.decode(errors="replace")
        if again != -errno.ENOSPC:
            break
    raise refusal(OSError(-result, os.strerror(-result)), "the kernel refused the BPF program", words)


def attempt(
    skeleton: Description,
    data_fd: int,
    entries: Mapping[str, int],
    log: ctypes.Array[ctypes.c_char] | None,
) -> tuple[int, bytes]:
    """Run the loader once; returns its result (negative errno) and the context with the descriptors."""
    syscalls.map_update(data_fd, b"\0\0\0\0", skeleton.data)
    size = HEADER.size + MAP.size * len(skeleton.maps) + PROGRAM.size * len(skeleton.programs)
    log_size = len(log) if log else 0
    context = HEADER.pack(size, 0, 1 if log else 0, log_size, ctypes.addressof(log) if log else 0)
    context += b"".join(MAP.pack(0, entries.get(name, 0), 0) for name in skeleton.maps)  # 0: as compiled
    context = context.ljust(size, b"\0")
    try:
        loader = syscalls.prog_load(skeleton.instructions, data_fd, log)
    except OSError as error:
        return -(error.errno or errno.EIO), context
    try:
        return syscalls.prog_run(loader, context)
    except OSError as error:
        return -(error.errno or errno.EIO), context
    finally:
        os.close(loader)


def descriptors(skeleton: Description, context: bytes) -> Loaded:
    """Read the descriptors out of the loader's context, and check that they are what they should be.

    Raises Damaged when they are not: a layout that is not ours would give 0, or a descriptor of something else.
    """
    at = HEADER.size
    maps = {name: MAP.unpack_from(context, at + i * MAP.size)[0] for i, name in enumerate(skeleton.maps)}
    at += MAP.size * len(skeleton.maps)
    programs = {
        name: PROGRAM.unpack_from(context, at + i * PROGRAM.size)[0] for i, name in enumerate(skeleton.programs)
    }
    for fds, kind in ((maps, "bpf-map"), (programs, "bpf-prog")):
        for name, fd in fds.items():
            if not is_descriptor(fd, kind):
                raise Damaged(f"the BPF loader returned no {kind} for '{name}'", todo="install kmemscope again")
    return Loaded(maps, programs)


def check_sizes(loaded: Loaded, sizes: Mapping[str, tuple[int, int]]) -> None:
    """Check that keys and values of maps have the bytes that we read and write: the kernel copies as many as it has.

    Raises Damaged when they have not: the programs are of another version than their reader.
    """
    for name, expected in sizes.items():
        lines = Path(f"/proc/self/fdinfo/{loaded.maps[name]}").read_text().splitlines()
        facts = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        found = int(facts["key_size"]), int(facts["value_size"])
        if found != expected:
            raise Damaged(
                f"the BPF map '{name}' is not of this version of kmemscope",
                why=f"its keys and values have {found} bytes, not {expected}",
                todo="install kmemscope again, or run `make build` in a source tree",
            )


def is_descriptor(fd: int, kind: str) -> bool:
    """Whether a number is an open descriptor of this kind of BPF object."""
    try:
        return Path(f"/proc/self/fd/{fd}").readlink() == Path(f"anon_inode:{kind}")
    except OSError:
        return False


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn the kernel's no to a bpf(2) into an error that starts with these words."""
    try:
        yield
    except OSError as error:
        raise refusal(error, what) from error


def refusal(error: OSError, what: str, words: str = "") -> KmemscopeError:
    """Turn the kernel's no into an error that says what to do about it."""
    tail = "\n".join(words.rstrip("\0\n").splitlines()[-LOG_LINES:])
    why = f"{error.strerror}{'; the verifier says:' if tail else ''}"
    why = f"{why}\n{tail}" if tail else why
    if error.errno in (errno.EPERM, errno.EACCES) and not tail:
        if os.geteuid() == 0:
            why += " though this is root: a seccomp profile, a missing capability or lockdown forbids it"
            return NotPermitted(what, why=why, todo=ROOT_WITHOUT)
        return NotPermitted(what, why=why, todo=CAPABILITIES)
    if error.errno in (errno.EINVAL, errno.ENOSYS, errno.E2BIG):
        return KernelUnsupported(what, why=why, todo="kernel 5.17 or later with CONFIG_BPF_SYSCALL is needed")
    return KernelUnsupported(what, why=why, todo="please report this with the kernel's version")
