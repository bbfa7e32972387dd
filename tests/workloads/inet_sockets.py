"""Sockets of the Internet families: TCP pairs over the loopback, UDP, raw."""

from __future__ import annotations

import socket
import struct
from contextlib import ExitStack

from tests.workloads.kernel_calls import needed
from tests.workloads.limits import allow_descriptors
from tests.workloads.workload import UnavailableError, Workload, reclaimable, unreclaimable

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER of zero: closing leaves no TIME_WAIT behind, which would outlive the process by a minute."""


def tcp_pairs(family: socket.AddressFamily, address: str, count: int, keep: ExitStack) -> int:
    """Connect to a listener of one's own and accept."""
    allow_descriptors(2 * count)
    try:
        listener = keep.enter_context(socket.create_server((address, 0), family=family, backlog=16))
    except OSError as error:
        raise UnavailableError(f"a loopback with the address {address} ({error.strerror})") from None
    for _ in range(count):
        client = keep.enter_context(socket.create_connection(listener.getsockname()[:2]))
        server = keep.enter_context(listener.accept()[0])
        for each in (client, server):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    return count


def tcp_over_ipv4(count: int, keep: ExitStack) -> int:
    """Established IPv4 connections, both ends here."""
    return tcp_pairs(socket.AF_INET, "127.0.0.1", count, keep)


def tcp_over_ipv6(count: int, keep: ExitStack) -> int:
    """Established IPv6 connections, both ends here."""
    if not socket.has_dualstack_ipv6():
        raise UnavailableError("IPv6")
    return tcp_pairs(socket.AF_INET6, "::1", count, keep)


def open_sockets(family: int, kind: int, protocol: int, count: int, keep: ExitStack) -> int:
    """Open sockets that stay as they are."""
    allow_descriptors(count)
    for _ in range(count):
        try:
            keep.enter_context(socket.socket(family, kind, protocol))
        except OSError as error:
            raise needed("sockets of this family", error) from None
    return count


def udp_sockets(count: int, keep: ExitStack) -> int:
    """UDP sockets without a peer."""
    return open_sockets(socket.AF_INET, socket.SOCK_DGRAM, 0, count, keep)


def raw_sockets(count: int, keep: ExitStack) -> int:
    """Raw IPv4 sockets of a protocol number kept for experiments, which no packet carries."""
    return open_sockets(socket.AF_INET, socket.SOCK_RAW, 253, count, keep)


WORKLOADS = (
    Workload(
        name="tcp_over_ipv4",
        summary="established IPv4 connections: both ends' socket inode and file, and the client's TCP",
        make=tcp_over_ipv4,
        count=600,
        # The accepting end's TCP is made by the softirq: charged to nobody before 6.12, later by accept(2).
        expects=(
            unreclaimable("TCP"),
            reclaimable("sock_inode_cache", per_unit=2),
            unreclaimable("filp", per_unit=2),
            unreclaimable("tcp_bind_bucket"),
        ),
    ),
    Workload(
        name="tcp_over_ipv6",
        summary="established IPv6 connections: as over IPv4, but a larger TCPv6",
        make=tcp_over_ipv6,
        count=600,
        expects=(
            unreclaimable("TCPv6"),
            reclaimable("sock_inode_cache", per_unit=2),
            unreclaimable("filp", per_unit=2),
            unreclaimable("tcp_bind_bucket"),
        ),
    ),
    Workload(
        name="udp_sockets",
        summary="UDP sockets: a UDP, a socket inode, a dentry and a struct file each",
        make=udp_sockets,
        count=2_000,
        expects=(
            unreclaimable("UDP"),
            reclaimable("sock_inode_cache"),
            reclaimable("dentry"),
            unreclaimable("filp"),
        ),
    ),
    Workload(
        name="raw_sockets",
        summary="raw IPv4 sockets: a RAW, a socket inode, a dentry and a struct file each",
        make=raw_sockets,
        count=2_000,
        expects=(unreclaimable("RAW"), reclaimable("sock_inode_cache"), unreclaimable("filp")),
    ),
)
