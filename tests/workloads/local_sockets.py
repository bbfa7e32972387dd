"""Sockets that never leave the machine: UNIX pairs, what queues in them, netlink, packet."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack

from kmemscope.model.kinds import Kind
from tests.workloads.inet_sockets import open_sockets
from tests.workloads.limits import allow_descriptors
from tests.workloads.workload import Workload, pages, reclaimable, unreclaimable

MESSAGE_BYTES = 3_000
"""With the room for headers more than 2 KiB, so that each lies in the 4 KiB cache."""
MESSAGES_PER_SOCKET = 10
"""As many as net.unix.max_dgram_qlen lets wait by default."""
PASSED_PER_MESSAGE = 100
MESSAGES_PER_PAIR = 50
UNIX_CACHES = ("UNIX-STREAM", "UNIX")
STREAM_QUEUE_BYTES = 64 * 1024
HEADERS_CHARGED = 0.9
"""From 6.19 some headers come from a reserve of each CPU, where they were not charged to anybody."""


def pair(kind: socket.SocketKind, keep: ExitStack) -> tuple[socket.socket, socket.socket]:
    """Two connected UNIX sockets."""
    left, right = socket.socketpair(socket.AF_UNIX, kind)
    return keep.enter_context(left), keep.enter_context(right)


def unix_streams(count: int, keep: ExitStack) -> int:
    """Connected pairs without data."""
    allow_descriptors(2 * count)
    for _ in range(count):
        pair(socket.SOCK_STREAM, keep)
    return count


def unix_datagrams(count: int, keep: ExitStack) -> int:
    """Datagrams that wait for a reader."""
    pairs = -(-count // MESSAGES_PER_SOCKET)
    allow_descriptors(2 * pairs)
    for _ in range(pairs):
        sender, _ = pair(socket.SOCK_DGRAM, keep)
        for _ in range(MESSAGES_PER_SOCKET):
            sender.send(bytes(MESSAGE_BYTES), socket.MSG_DONTWAIT)
    return pairs * MESSAGES_PER_SOCKET


def unix_stream_data(count: int, keep: ExitStack) -> int:
    """Bytes that wait for a reader, in as few and as large pieces as the kernel makes of them."""
    allow_descriptors(2 * count)
    for _ in range(count):
        sender, _ = pair(socket.SOCK_STREAM, keep)
        sender.sendall(bytes(STREAM_QUEUE_BYTES))
    return count


def passed_descriptors(count: int, keep: ExitStack) -> int:
    """Messages that carry descriptors and that nobody receives."""
    pairs = -(-count // MESSAGES_PER_PAIR)
    allow_descriptors(2 * pairs + PASSED_PER_MESSAGE)
    passed = [os.eventfd(0)] * PASSED_PER_MESSAGE
    for _ in range(pairs):
        sender, _ = pair(socket.SOCK_STREAM, keep)
        sender.setblocking(False)
        for _ in range(MESSAGES_PER_PAIR):
            socket.send_fds(sender, [b"x"], passed)
    return pairs * MESSAGES_PER_PAIR


def netlink_sockets(count: int, keep: ExitStack) -> int:
    """Netlink sockets that were never bound."""
    return open_sockets(socket.AF_NETLINK, socket.SOCK_RAW, 0, count, keep)


def packet_sockets(count: int, keep: ExitStack) -> int:
    """Packet sockets of no protocol: they see no packet."""
    return open_sockets(socket.AF_PACKET, socket.SOCK_RAW, 0, count, keep)


WORKLOADS = (
    Workload(
        name="unix_streams",
        summary="connected UNIX stream pairs: two sockets, inodes, dentries and files each",
        make=unix_streams,
        count=1_000,
        expects=(
            unreclaimable(*UNIX_CACHES, per_unit=2),
            reclaimable("sock_inode_cache", per_unit=2),
            reclaimable("dentry", per_unit=2),
            unreclaimable("filp", per_unit=2),
        ),
    ),
    Workload(
        name="unix_datagrams",
        summary="unread UNIX datagrams of 3,000 bytes: a header and 4 KiB each",
        make=unix_datagrams,
        count=2_000,
        expects=(unreclaimable("skbuff_head_cache", per_unit=HEADERS_CHARGED), unreclaimable("kmalloc-cg-4k")),
    ),
    Workload(
        name="unix_stream_data",
        summary="64 KiB unread in a UNIX stream each: pages, not slab objects",
        make=unix_stream_data,
        count=100,
        expects=(pages(Kind.OTHER_PAGES, bytes_per_unit=STREAM_QUEUE_BYTES / 2),),
    ),
    Workload(
        name="passed_descriptors",
        summary="messages with 100 descriptors that nobody receives: a header and a list of files each",
        make=passed_descriptors,
        count=2_000,
        # A list has room for 253 files; before 6.10 a copy cut to size is queued in its place.
        expects=(
            unreclaimable("skbuff_head_cache", per_unit=HEADERS_CHARGED),
            unreclaimable("kmalloc-cg-1k", "kmalloc-cg-4k"),
        ),
    ),
    Workload(
        name="netlink_sockets",
        summary="netlink sockets: socket inode, dentry and file are charged, the socket is not",
        make=netlink_sockets,
        count=4_000,
        expects=(reclaimable("sock_inode_cache"), reclaimable("dentry"), unreclaimable("filp")),
    ),
    Workload(
        name="packet_sockets",
        summary="packet sockets: socket inode, dentry and file are charged, the socket is not",
        make=packet_sockets,
        count=60,  # closing one waits for every CPU, some 10 ms
        expects=(reclaimable("sock_inode_cache"), reclaimable("dentry"), unreclaimable("filp")),
    ),
)
