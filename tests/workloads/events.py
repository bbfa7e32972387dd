"""Descriptors that wait for something: epoll items, inotify watches, eventfds and timerfds."""

from __future__ import annotations

import os
import select
import time
from contextlib import ExitStack

from tests.workloads.detached import file_system, make_files, path_below
from tests.workloads.kernel_calls import checked, libc
from tests.workloads.limits import allow_descriptors, within
from tests.workloads.workload import UnavailableError, Workload, reclaimable, unreclaimable

WATCHED_PER_EPOLL = 100
IN_MODIFY = 2
INOTIFY_INSTANCES = 4
"""Few, because a user has 128 of them, whatever runs beside the test."""


def epoll_items(count: int, keep: ExitStack) -> int:
    """Let many epolls watch the same few eventfds: an item is one pair of the two."""
    epolls = count // WATCHED_PER_EPOLL
    allow_descriptors(epolls + WATCHED_PER_EPOLL)
    watched = [os.eventfd(0) for _ in range(WATCHED_PER_EPOLL)]
    for _ in range(epolls):
        epoll = keep.enter_context(select.epoll())
        for descriptor in watched:
            epoll.register(descriptor, select.EPOLLIN)
    return epolls * WATCHED_PER_EPOLL


def inotify_watches(count: int, keep: ExitStack) -> int:
    """Watch the files of a tmpfs from several inotify instances; an instance watches an inode only once."""
    count = within("/proc/sys/fs/inotify/max_user_watches", count)
    root = file_system("tmpfs")
    names = make_files(root, max(1, count // INOTIFY_INSTANCES))
    made = 0
    for _ in range(INOTIFY_INSTANCES):
        try:
            descriptor = checked(libc.inotify_init1(0), "inotify_init1")
        except OSError as error:
            raise UnavailableError(f"{INOTIFY_INSTANCES} free inotify instances ({error.strerror})") from None
        for name in names:
            path = path_below(root, name).encode()
            checked(libc.inotify_add_watch(descriptor, path, IN_MODIFY), "inotify_add_watch")
            made += 1
    return made


def eventfds(count: int, keep: ExitStack) -> int:
    """Open eventfds."""
    allow_descriptors(count)
    for _ in range(count):
        os.eventfd(0)
    return count


def timerfds(count: int, keep: ExitStack) -> int:
    """Open timerfds."""
    allow_descriptors(count)
    for _ in range(count):
        checked(libc.timerfd_create(time.CLOCK_MONOTONIC, 0), "timerfd_create")
    return count


WORKLOADS = (
    Workload(
        name="epoll_items",
        summary="descriptors watched by epoll: an eventpoll_epi and an eventpoll_pwq each",
        make=epoll_items,
        count=20_000,
        expects=(unreclaimable("eventpoll_epi"), unreclaimable("eventpoll_pwq")),
    ),
    Workload(
        name="inotify_watches",
        summary="inotify watches on files of a tmpfs: an inotify_inode_mark each",
        make=inotify_watches,
        count=16_000,
        expects=(
            unreclaimable("inotify_inode_mark"),
            unreclaimable("shmem_inode_cache", per_unit=1 / INOTIFY_INSTANCES),
        ),
    ),
    Workload(
        name="eventfds",
        summary="eventfds: a struct file and a dentry each, the eventfd itself is charged to nobody",
        make=eventfds,
        count=8_000,
        expects=(unreclaimable("filp"), reclaimable("dentry")),
    ),
    Workload(
        name="timerfds",
        summary="timerfds: a struct file and a dentry each, the timer itself is charged to nobody",
        make=timerfds,
        count=8_000,
        expects=(unreclaimable("filp"), reclaimable("dentry")),
    ),
)
