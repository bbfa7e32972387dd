"""Namespaces and mounts that something keeps alive."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from pathlib import Path

from tests.workloads.detached import clone
from tests.workloads.kernel_calls import checked, libc, needed
from tests.workloads.limits import allow_descriptors
from tests.workloads.processes import die_with_parent, kill_and_reap
from tests.workloads.workload import UnavailableError, Workload, unreclaimable

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

USER_NAMESPACES_PER_CHILD = 25
"""The kernel nests 32 deep at most, and the test itself may run in some."""


def unshare(flags: int) -> None:
    """Give this process new namespaces."""
    checked(libc.unshare(flags), "unshare")


def hold_many(kind: str, flag: int, count: int) -> int:
    """Enter namespace after namespace, and keep each one by a descriptor.

    A machine of 1 GiB allows some 3,800 of a kind: user.max_*_namespaces is half of kernel.threads-max.
    """
    allow_descriptors(count)
    for _ in range(count):
        try:
            unshare(flag)
        except OSError as error:
            raise needed(f"the right to make {kind} namespaces", error) from None
        os.open(f"/proc/self/ns/{kind}", os.O_RDONLY)
    return count


def uts_namespaces(count: int, keep: ExitStack) -> int:
    """Namespaces that hold a host name."""
    return hold_many("uts", CLONE_NEWUTS, count)


def network_namespaces(count: int, keep: ExitStack) -> int:
    """Network stacks with a loopback device and tables each."""
    return hold_many("net", CLONE_NEWNET, count)


def mount_namespaces(count: int, keep: ExitStack) -> int:
    """Copies of all mounts of this machine."""
    return hold_many("mnt", CLONE_NEWNS, count)


def nest_user_namespaces(depth: int) -> None:
    """Enter user namespaces, each inside the one before, which must know this user to allow the next."""
    user, group = os.geteuid(), os.getegid()
    for _ in range(depth):
        unshare(CLONE_NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def user_namespaces(count: int, keep: ExitStack) -> int:
    """Children that each sleep in a nest of user namespaces."""
    children = -(-count // USER_NAMESPACES_PER_CHILD)
    for _ in range(children):
        told, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            die_with_parent()
            try:
                nest_user_namespaces(USER_NAMESPACES_PER_CHILD)
            except OSError as error:
                os.write(tell, str(error).encode())
                os._exit(1)
            os.write(tell, b"made")
            while True:
                signal.pause()
        keep.callback(kill_and_reap, pid)
        answer = os.read(told, 200)
        if answer != b"made":
            raise UnavailableError(f"nested user namespaces ({answer.decode()})")
    return children * USER_NAMESPACES_PER_CHILD


def detached_mounts(count: int, keep: ExitStack) -> int:
    """Mounts of one file system that are nowhere in the tree."""
    allow_descriptors(count)
    for _ in range(count):
        clone("/proc")
    return count


WORKLOADS = (
    Workload(
        name="uts_namespaces",
        summary="UTS namespaces held by a descriptor: a uts_namespace and an open file each",
        make=uts_namespaces,
        count=2_000,
        expects=(unreclaimable("uts_namespace"), unreclaimable("filp")),
    ),
    Workload(
        name="network_namespaces",
        summary="network namespaces held by a descriptor: a net_namespace and its tables each",
        make=network_namespaces,
        count=20,
        expects=(unreclaimable("net_namespace"),),
    ),
    Workload(
        name="mount_namespaces",
        summary="mount namespaces held by a descriptor: a copy of every mount each",
        make=mount_namespaces,
        count=300,
        expects=(unreclaimable("mnt_cache", per_unit=3),),
    ),
    Workload(
        name="user_namespaces",
        summary="nested user namespaces: a user_namespace each",
        make=user_namespaces,
        count=250,
        expects=(unreclaimable("user_namespace"),),
    ),
    Workload(
        name="detached_mounts",
        summary="mounts held by a descriptor only: a mount and an open file each",
        make=detached_mounts,
        count=2_000,
        expects=(unreclaimable("mnt_cache"), unreclaimable("filp")),
    ),
)
