"""System V and POSIX IPC, in an IPC namespace of its own that goes, with all in it, when the process ends."""

from __future__ import annotations

import ctypes
import os
import resource
import struct
from contextlib import ExitStack

from tests.workloads.kernel_calls import checked, libc, needed
from tests.workloads.limits import allow, allow_descriptors, within
from tests.workloads.namespaces import CLONE_NEWIPC, unshare
from tests.workloads.workload import LARGE_KINDS, Workload, pages, unreclaimable

IPC_PRIVATE = 0
OWNER_ONLY = 0o600
MESSAGE_BYTES = 3_000
"""With its header more than 2 KiB, so that each lies in a 4 KiB cache."""
MESSAGES_PER_QUEUE = 5
"""5 x 3,000 stay below the 16,384 bytes that a queue takes by default."""
POSIX_MESSAGES_PER_QUEUE = 8
QUEUE_OVERHEAD_BYTES = 128
"""More than the kernel counts for the bookkeeping of one message."""
SEMAPHORES_PER_SET = 50
"""64 bytes each, so that a set lies in the 4 KiB cache."""
SEMAPHORES_PER_LARGE_SET = 32_000
BYTES_PER_SEMAPHORE = 64
CACHES_OF_MESSAGES = ("msg_msg-4k", "kmalloc-cg-4k")
"""Since 6.11 messages have buckets of their own, where the kernel is built with them."""


class QueueShape(ctypes.Structure):
    """struct mq_attr."""

    _fields_ = (
        ("flags", ctypes.c_long),
        ("messages", ctypes.c_long),
        ("message_bytes", ctypes.c_long),
        ("waiting", ctypes.c_long),
        ("reserved", ctypes.c_long * 4),
    )


def own_namespace() -> None:
    """Leave the IPC namespace of the machine."""
    try:
        unshare(CLONE_NEWIPC)
    except OSError as error:
        raise needed("the right to make an IPC namespace", error) from None


def message_queues(count: int, keep: ExitStack) -> int:
    """Send messages to System V queues that nobody reads."""
    own_namespace()
    queues = within("/proc/sys/kernel/msgmni", -(-count // MESSAGES_PER_QUEUE))
    message = struct.pack("l", 1) + bytes(MESSAGE_BYTES)
    for _ in range(queues):
        queue = checked(libc.msgget(IPC_PRIVATE, OWNER_ONLY), "msgget")
        for _ in range(MESSAGES_PER_QUEUE):
            checked(libc.msgsnd(queue, message, ctypes.c_size_t(MESSAGE_BYTES), 0), "msgsnd")
    return queues * MESSAGES_PER_QUEUE


def posix_message_queues(count: int, keep: ExitStack) -> int:
    """Send messages to POSIX queues that nobody reads."""
    own_namespace()
    allow_descriptors(count)
    allow(resource.RLIMIT_MSGQUEUE, count * (MESSAGE_BYTES + QUEUE_OVERHEAD_BYTES), "bytes in message queues")
    shape = QueueShape(messages=POSIX_MESSAGES_PER_QUEUE, message_bytes=MESSAGE_BYTES)
    queues = -(-count // POSIX_MESSAGES_PER_QUEUE)
    for each in range(queues):
        name = f"/workload-{each}".encode()
        try:
            flags = os.O_CREAT | os.O_RDWR
            queue = checked(libc.mq_open(name, flags, OWNER_ONLY, ctypes.byref(shape)), "mq_open")
        except OSError as error:
            raise needed("POSIX message queues", error) from None
        for _ in range(POSIX_MESSAGES_PER_QUEUE):
            sent = libc.mq_send(queue, bytes(MESSAGE_BYTES), ctypes.c_size_t(MESSAGE_BYTES), 0)
            checked(sent, "mq_send")
    return queues * POSIX_MESSAGES_PER_QUEUE


def shared_memory(count: int, keep: ExitStack) -> int:
    """Create System V segments that nobody attaches."""
    own_namespace()
    count = within("/proc/sys/kernel/shmmni", count)
    for _ in range(count):
        checked(libc.shmget(IPC_PRIVATE, ctypes.c_size_t(4096), OWNER_ONLY), "shmget")
    return count


def semaphore_sets(count: int, keep: ExitStack) -> int:
    """Create small System V sets."""
    own_namespace()
    for _ in range(count):
        checked(libc.semget(IPC_PRIVATE, SEMAPHORES_PER_SET, OWNER_ONLY), "semget")
    return count


def large_semaphore_sets(count: int, keep: ExitStack) -> int:
    """Create System V sets too large for the slab allocator."""
    own_namespace()
    for _ in range(count):
        checked(libc.semget(IPC_PRIVATE, SEMAPHORES_PER_LARGE_SET, OWNER_ONLY), "semget")
    return count


WORKLOADS = (
    Workload(
        name="message_queues",
        summary="unread System V messages of 3,000 bytes: 4 KiB each",
        make=message_queues,
        count=2_000,
        expects=(unreclaimable(*CACHES_OF_MESSAGES),),
    ),
    Workload(
        name="posix_message_queues",
        summary="unread POSIX messages of 3,000 bytes: 4 KiB each, and an inode for eight",
        make=posix_message_queues,
        count=200,
        expects=(
            unreclaimable(*CACHES_OF_MESSAGES),
            unreclaimable("mqueue_inode_cache", per_unit=1 / POSIX_MESSAGES_PER_QUEUE),
        ),
    ),
    Workload(
        name="shared_memory",
        summary="System V segments without an attached process: an inode and a struct file each",
        make=shared_memory,
        count=3_000,
        expects=(unreclaimable("shmem_inode_cache"), unreclaimable("filp")),
    ),
    Workload(
        name="semaphore_sets",
        summary="System V sets of 50 semaphores: 4 KiB each",
        make=semaphore_sets,
        count=2_000,
        expects=(unreclaimable("kmalloc-cg-4k"),),
    ),
    Workload(
        name="large_semaphore_sets",
        summary="System V sets of 32,000 semaphores: 2 MiB of large kmalloc or vmalloc each",
        make=large_semaphore_sets,
        count=6,
        expects=(pages(*LARGE_KINDS, bytes_per_unit=SEMAPHORES_PER_LARGE_SET * BYTES_PER_SEMAPHORE),),
    ),
)
