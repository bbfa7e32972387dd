"""File systems of one's own without a mount point: they hang on a descriptor and vanish with the process."""

from __future__ import annotations

import os

from tests.workloads.kernel_calls import FSCONFIG, FSMOUNT, FSOPEN, OPEN_TREE, needed, system_call

FSCONFIG_CMD_CREATE = 6
OPEN_TREE_CLONE = 1
AT_FDCWD = -100


def file_system(kind: str) -> int:
    """Descriptor of the root of a new instance of a file system."""
    try:
        context = system_call(FSOPEN, kind.encode(), 0, what=f"fsopen {kind}")
        try:
            system_call(FSCONFIG, context, FSCONFIG_CMD_CREATE, None, None, 0, what=f"create {kind}")
            return system_call(FSMOUNT, context, 0, 0, what=f"fsmount {kind}")
        finally:
            os.close(context)
    except OSError as error:
        raise needed(f"the right to make a {kind} file system", error) from None


def clone(path: str) -> int:
    """Descriptor of one more mount of what is mounted at a path; of a detached mount only from 6.15 on."""
    return system_call(OPEN_TREE, AT_FDCWD, path.encode(), OPEN_TREE_CLONE, what="open_tree")


def path_below(root: int, name: str) -> str:
    """A path for calls that take no directory descriptor."""
    return f"/proc/self/fd/{root}/{name}"


def make_files(root: int, number: int) -> list[str]:
    """Put `number` empty files below a root, and tell their names."""
    names = [f"file-{each:06}" for each in range(number)]
    for name in names:
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=root))
    return names
