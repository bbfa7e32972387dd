"""What kinds and types of kernel memory are, in a phrase that a person who never read the kernel understands.

Knows names only; which names matter for a target is decided elsewhere. Sources: the `kmem_cache_create` calls of the
named caches in Linux 6.18, and Documentation/admin-guide/cgroup-v2.rst for the rows of memory.stat.
"""

from __future__ import annotations

from collections.abc import Iterable

from kmemscope.model.kinds import Kind

KIND_NAMES: dict[Kind, str] = {
    Kind.SLAB_UNRECLAIMABLE: "slab, unreclaimable",
    Kind.SLAB_RECLAIMABLE: "slab, reclaimable",
    Kind.KERNEL_STACK: "kernel stacks",
    Kind.PAGETABLES: "page tables",
    Kind.SEC_PAGETABLES: "secondary page tables",
    Kind.PERCPU: "per-CPU memory",
    Kind.VMALLOC: "vmalloc",
    Kind.ZSWAP: "compressed swap (zswap)",
    Kind.PIPE_BUFFERS: "pipe buffers",
    Kind.OTHER_PAGES: "other pages",
}

KIND_MEANINGS: dict[Kind, str] = {
    Kind.SLAB_UNRECLAIMABLE: "kernel objects in use",
    Kind.SLAB_RECLAIMABLE: "caches that the kernel drops when memory is short",
    Kind.KERNEL_STACK: "one for every thread that exists",
    Kind.PAGETABLES: "they map the memory that processes touched",
    Kind.SEC_PAGETABLES: "page tables of virtual machines and devices",
    Kind.PERCPU: "a copy for every CPU: cgroups, mounts, networks",
    Kind.VMALLOC: "large tables: descriptors, BPF maps, firewall rules",
    Kind.ZSWAP: "swapped-out pages, compressed",
    Kind.PIPE_BUFFERS: "data written into pipes and not read yet",
    Kind.OTHER_PAGES: "nothing known points at them (rings of io_uring, sockets, perf; upper page tables)",
}

TYPE_MEANINGS: dict[str, str] = {
    "task_struct": "threads",
    "task_delay_info": "threads",
    "signal_cache": "processes",
    "sighand_cache": "processes",
    "files_cache": "processes",
    "fs_cache": "processes",
    "mm_struct": "address spaces",
    "vm_area_struct": "mapped regions of memory",
    "anon_vma": "regions of anonymous memory",
    "anon_vma_chain": "regions of anonymous memory",
    "pid": "process and thread ids",
    "cred_jar": "credentials of threads and files",
    "dentry": "cached file names, also of files that do not exist",
    "inode_cache": "inodes",
    "proc_inode_cache": "inodes of /proc",
    "sock_inode_cache": "sockets",
    "shmem_inode_cache": "files in tmpfs and memfd",
    "ext4_inode_cache": "inodes of ext4",
    "xfs_inode": "inodes of xfs",
    "ovl_inode": "inodes of overlayfs",
    "filp": "open files",
    "radix_tree_node": "index of the page cache",
    "buffer_head": "blocks of the page cache",
    "lsm_file_cache": "security data of open files",
    "lsm_inode_cache": "security data of inodes",
    "UNIX": "UNIX sockets",
    "UNIX-STREAM": "UNIX sockets",
    "TCP": "TCP sockets",
    "TCPv6": "TCP sockets (IPv6)",
    "UDP": "UDP sockets",
    "UDPv6": "UDP sockets (IPv6)",
    "PING": "ping sockets",
    "RAW": "raw sockets",
    "skbuff_head_cache": "packets and messages in socket queues",
    "skbuff_small_head": "packets and messages in socket queues",
    "eventpoll_epi": "descriptors watched by epoll",
    "eventpoll_pwq": "descriptors watched by epoll",
    "ep_head": "files watched by epoll",
    "inotify_inode_mark": "inotify watches",
    "sigqueue": "queued signals",
    "posix_timers_cache": "POSIX timers",
    "mqueue_inode_cache": "POSIX message queues",
    "nsproxy": "namespaces",
    "net_namespace": "network namespaces",
    "mnt_cache": "mounts",
    "user_namespace": "user namespaces",
    "pid_namespace": "pid namespaces",
    "large kmalloc": "single allocations above 8 KiB",
}


def type_meaning(name: str) -> str | None:
    """Say what one object of a slab cache stands for; None when the name says nothing by itself."""
    if name in TYPE_MEANINGS:
        return TYPE_MEANINGS[name]
    if name.startswith("kmalloc-"):
        return "nameless allocations of this size"
    return None


def meanings(names: Iterable[str]) -> str | None:
    """Say what objects of a cache stand for that goes by these names: any of them, when it was merged."""
    known = list(dict.fromkeys(filter(None, map(type_meaning, names))))
    return " or ".join(known[:3]) or None
