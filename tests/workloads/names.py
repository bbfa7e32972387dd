"""Names that do not exist, and are remembered: negative dentries.

tmpfs forgets them at once. sysfs keeps them, and a sysfs made in a new network namespace is an instance of
its own, which takes them along when the process ends.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress

from tests.workloads.detached import file_system
from tests.workloads.kernel_calls import needed
from tests.workloads.namespaces import CLONE_NEWNET, unshare
from tests.workloads.workload import Workload, reclaimable


def negative_dentries(count: int, keep: ExitStack) -> int:
    """Look for files that are not there."""
    try:
        unshare(CLONE_NEWNET)
    except OSError as error:
        raise needed("the right to make a network namespace", error) from None
    root = file_system("sysfs")
    for each in range(count):
        with suppress(FileNotFoundError):
            os.stat(f"no-such-file-{each:06}", dir_fd=root)
    return count


WORKLOADS = (
    Workload(
        name="negative_dentries",
        summary="look-ups of names that do not exist: a dentry each",
        make=negative_dentries,
        count=20_000,
        expects=(reclaimable("dentry"),),
    ),
)
