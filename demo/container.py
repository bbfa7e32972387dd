"""Starts the leaky program in a real container (runc), or in a bare cgroup where runc cannot run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from kmemscope.observe.cgroups import MemoryHierarchy
from kmemscope.observe.hostfs import HostFs

LIMIT_BYTES = 256 << 20
OPEN_FILES = 8192
CGROUPS = Path("/sys/fs/cgroup")
PROGRAM = Path(__file__).parent / "leaky.py"


@dataclass(frozen=True, slots=True)
class Leak:
    """What runs, and by which words kmemscope finds it."""

    target: str
    how: str


class CannotRun(Exception):
    """This way of running the program does not work here."""


@contextmanager
def leaking() -> Iterator[Leak]:
    """Run the program in a container, or in a bare cgroup, until the block ends."""
    try:
        with in_runc() as leak:
            yield leak
    except CannotRun as error:
        print(f"runc cannot run here ({error}); a bare cgroup instead", file=sys.stderr)
        with in_cgroup() as leak:
            yield leak


@contextmanager
def in_runc() -> Iterator[Leak]:
    """Run the program in a runc container with namespaces, a memory limit and the host's own /usr as its root."""
    runc = shutil.which("runc")
    if not runc:
        raise CannotRun("it is not installed")
    name = f"leaky-demo-{os.getpid()}"
    with nothing_left_behind(), tempfile.TemporaryDirectory(prefix="kmemscope-demo-") as bundle:
        (Path(bundle) / "rootfs").mkdir()
        (Path(bundle) / "config.json").write_text(json.dumps(bundle_config(name)))
        process = subprocess.Popen(
            [runc, "run", "--bundle", bundle, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            wait_until_ready(process)
            yield Leak(name, f"the runc container {name}")
        finally:
            subprocess.run([runc, "kill", name, "KILL"], capture_output=True, check=False)
            process.communicate()
            subprocess.run([runc, "delete", "--force", name], capture_output=True, check=False)


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    """Remove the cgroups that runc makes on the way to the container's, in hierarchies where we have none.

    On cgroup v1 we are in one of that path in the memory hierarchy, but perhaps not in the others.
    """
    own = PurePosixPath(own_cgroup())
    places = [Path(f"{mount}{each}") for mount in CGROUPS.glob("*") for each in (own, *own.parents)]
    absent = [place for place in places if not place.exists()]
    try:
        yield
    finally:
        for place in sorted(absent, key=lambda each: -len(each.parts)):
            with suppress(OSError):
                place.rmdir()


def own_cgroup() -> str:
    """Path of the memory cgroup that this process is in."""
    return MemoryHierarchy.find(HostFs()).of_pid("self") or "/"


@contextmanager
def in_cgroup() -> Iterator[Leak]:
    """Run the program in a memory cgroup of its own, without any container around it."""
    hierarchy = MemoryHierarchy.find(HostFs())
    path = f"{(hierarchy.of_pid('self') or '/').rstrip('/')}/leaky-demo-{os.getpid()}"
    if hierarchy.version == 2:  # a cgroup with processes can have no children with controllers
        path = f"/leaky-demo-{os.getpid()}"
    folder = Path(f"{hierarchy.mount}{path}")
    folder.mkdir()
    try:
        enter = f'echo 0 > "{folder}/cgroup.procs" && exec "{sys.executable}" "{PROGRAM}"'
        process = subprocess.Popen(
            ["/bin/sh", "-c", enter], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            wait_until_ready(process)
            yield Leak(path, f"a process in the cgroup {path}")
        finally:
            process.kill()
            process.communicate()
    finally:
        remove(folder)


def wait_until_ready(process: subprocess.Popen[str]) -> None:
    """Wait for the program's READY. Raises CannotRun with its last words when it ends instead."""
    if process.stdout and process.stdout.readline().startswith("READY"):
        return
    process.kill()
    words = process.communicate()[1].strip().splitlines()
    raise CannotRun(words[-1][:200] if words else f"status {process.wait()}")


def remove(folder: Path) -> None:
    """Remove a cgroup, as soon as its last process is gone."""
    for _ in range(50):
        try:
            folder.rmdir()
        except OSError:
            time.sleep(0.1)
        else:
            return


def bundle_config(name: str) -> dict[str, Any]:
    """Write the container's OCI configuration: the host's programs, read-only; nothing else of it."""
    folders = dict.fromkeys(("/usr", "/bin", "/lib", "/lib64", sys.base_prefix))
    binds = [
        {"destination": folder, "type": "bind", "source": str(Path(folder).resolve()), "options": ["rbind", "ro"]}
        for folder in folders
        if Path(folder).is_dir() and not (folder != "/usr" and folder.startswith("/usr/"))
    ]
    binds.append({"destination": "/leaky.py", "type": "bind", "source": str(PROGRAM), "options": ["bind", "ro"]})
    return {
        "ociVersion": "1.0.2",
        "hostname": "leaky",
        "root": {"path": "rootfs", "readonly": False},
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "cwd": "/",
            "args": [os.path.realpath(sys.executable), "/leaky.py"],
            "env": ["PATH=/usr/bin:/bin", f"PYTHONHOME={sys.base_prefix}"],
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": OPEN_FILES, "soft": OPEN_FILES}],
            "noNewPrivileges": True,
        },
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}, *binds],
        "linux": {
            "cgroupsPath": f"{own_cgroup().rstrip('/')}/{name}",
            "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network")],
            "resources": {"memory": {"limit": LIMIT_BYTES}},
        },
    }
