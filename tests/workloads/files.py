"""Files, most of them on a tmpfs of one's own: inodes, open files, attributes, locks, page-cache trees."""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import ExitStack

from tests.workloads.detached import file_system, make_files
from tests.workloads.kernel_calls import needed
from tests.workloads.limits import allow_descriptors
from tests.workloads.workload import Workload, reclaimable, unreclaimable

XATTRS_PER_FILE = 20
XATTR_BYTES = 1500
"""With its header more than 1 KiB, so that it lands in the 2 KiB cache."""
CHUNK_BYTES = 64 * os.sysconf("SC_PAGE_SIZE")
"""The part of a file that one node of the page-cache tree covers."""


def tmpfs_files(count: int, keep: ExitStack) -> int:
    """Create empty files."""
    make_files(file_system("tmpfs"), count)
    return count


def open_files(count: int, keep: ExitStack) -> int:
    """Open one file again and again."""
    allow_descriptors(count)
    root = file_system("tmpfs")
    (name,) = make_files(root, 1)
    for _ in range(count):
        os.open(name, os.O_RDONLY, dir_fd=root)
    return count


def memfds(count: int, keep: ExitStack) -> int:
    """Open memory files."""
    allow_descriptors(count)
    for each in range(count):
        os.memfd_create(f"workload-{each}")
    return count


def xattrs(count: int, keep: ExitStack) -> int:
    """Set extended attributes. The trusted namespace, because tmpfs has a user one only from 6.6."""
    root = file_system("tmpfs")
    made = 0
    for name in make_files(root, -(-count // XATTRS_PER_FILE)):
        descriptor = os.open(name, os.O_RDWR, dir_fd=root)
        for each in range(min(XATTRS_PER_FILE, count - made)):
            try:
                os.setxattr(descriptor, f"trusted.workload-{each}", bytes(XATTR_BYTES))
            except OSError as error:
                raise needed("extended attributes on tmpfs", error) from None
            made += 1
        os.close(descriptor)
    return made


def file_locks(count: int, keep: ExitStack) -> int:
    """Lock every other byte of a file, so that no two locks are joined."""
    root = file_system("tmpfs")
    descriptor = os.open("locked", os.O_CREAT | os.O_RDWR, 0o600, dir_fd=root)
    for each in range(count):
        fcntl.fcntl(descriptor, fcntl.F_SETLK, struct.pack("hhqqi", fcntl.F_WRLCK, 0, 2 * each, 1, 0))
    return count


def sparse_file(count: int, keep: ExitStack) -> int:
    """Write one byte into each part of a file that has a tree node of its own."""
    descriptor = os.open("sparse", os.O_CREAT | os.O_RDWR, 0o600, dir_fd=file_system("tmpfs"))
    for each in range(count):
        os.pwrite(descriptor, b"x", each * CHUNK_BYTES)
    return count


def proc_readers(count: int, keep: ExitStack) -> int:
    """Read the first byte of a /proc file and leave it open: its buffer waits for the next read."""
    allow_descriptors(count)
    for _ in range(count):
        os.read(os.open("/proc/self/status", os.O_RDONLY), 1)
    return count


WORKLOADS = (
    Workload(
        name="tmpfs_files",
        summary="empty files on a tmpfs: a dentry and a shmem inode each",
        make=tmpfs_files,
        count=8_000,
        expects=(reclaimable("dentry"), unreclaimable("shmem_inode_cache")),
    ),
    Workload(
        name="open_files",
        summary="one file opened many times: a struct file each",
        make=open_files,
        count=15_000,
        expects=(unreclaimable("filp"),),
    ),
    Workload(
        name="memfds",
        summary="memory files: a struct file, a dentry and a shmem inode each",
        make=memfds,
        count=4_000,
        expects=(unreclaimable("filp"), reclaimable("dentry"), unreclaimable("shmem_inode_cache")),
    ),
    Workload(
        name="xattrs",
        summary="extended attributes of 1,500 bytes on tmpfs files: a kmalloc of 2 KiB each",
        make=xattrs,
        count=2_000,
        expects=(unreclaimable("kmalloc-cg-2k", since=(6, 6)),),
    ),
    Workload(
        name="file_locks",
        summary="POSIX locks on single bytes: charged to nobody",
        make=file_locks,
        count=5_000,
        expects=(),
        uncharged=("file_lock_cache",),
    ),
    Workload(
        name="sparse_file",
        summary="single bytes far apart in a tmpfs file: a page-cache tree node each",
        make=sparse_file,
        count=5_000,
        expects=(reclaimable("radix_tree_node"),),
    ),
    Workload(
        name="proc_readers",
        summary="/proc files read and left open: a seq_file and its buffer of a page each",
        make=proc_readers,
        count=2_000,
        expects=(unreclaimable("seq_file"), unreclaimable("kmalloc-cg-4k"), unreclaimable("filp")),
    ),
)
