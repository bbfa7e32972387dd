"""Against the kernel of this machine: the counters and ids that it gives are the witness."""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmemscope.model.errors import KernelUnsupported
from kmemscope.observe.cgroups import MemoryHierarchy
from kmemscope.observe.containers import Containers
from kmemscope.observe.hostfs import HostFs
from kmemscope.observe.processes import processes_of
from kmemscope.observe.targets import resolve

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def hierarchy() -> MemoryHierarchy:
    try:
        found = MemoryHierarchy.find(HostFs())
    except KernelUnsupported as error:
        pytest.skip(f"{error.what}: {error.why}")
    if not os.access(found.mount, os.W_OK):
        pytest.skip("the memory cgroups are not writable")
    return found


@pytest.fixture
def cgroup(hierarchy: MemoryHierarchy) -> Iterator[str]:
    """A new cgroup, removed afterwards with all that a test made in it."""
    path = f"/kmemscope-test-{os.getpid()}-{time.monotonic_ns()}"
    os.mkdir(hierarchy.mount + path)
    yield path
    # A runtime makes a cgroup of that path in every hierarchy.
    made = [f"{folder}{path}" for folder in (hierarchy.mount, *map(str, Path("/sys/fs/cgroup").glob("*")))]
    for _ in range(100):
        for directory in [each for top in made for each, _, _ in os.walk(top, topdown=False)]:
            try:
                os.rmdir(directory)
            except OSError:
                time.sleep(0.02)  # its last process is still ending
        if not any(map(os.path.exists, made)):
            return
    raise AssertionError(f"{path} could not be removed")


def sleeper_in(directory: str) -> int:
    pid = os.fork()
    if not pid:
        Path(directory, "cgroup.procs").write_text("0")
        while True:
            signal.pause()
    while f"{pid}\n" not in Path(directory, "cgroup.procs").read_text():
        time.sleep(0.001)
    return pid


def test_reads_what_the_kernel_says(hierarchy: MemoryHierarchy, cgroup: str) -> None:
    directory = Path(hierarchy.mount + cgroup)
    limit = "memory.limit_in_bytes" if hierarchy.version == 1 else "memory.max"
    found = hierarchy.read(cgroup)
    assert found is not None
    assert found.limit_bytes is None
    (directory / limit).write_text("67108864")
    found = hierarchy.read(cgroup)
    assert found is not None
    assert found.limit_bytes == 67108864
    assert found.id == directory.stat().st_ino
    if hierarchy.version == 1:
        assert found.kernel_bytes == int((directory / "memory.kmem.usage_in_bytes").read_text())


def test_kernel_bytes_grow_by_what_a_process_makes_the_kernel_keep(hierarchy: MemoryHierarchy, cgroup: str) -> None:
    before = hierarchy.read(cgroup)
    assert before is not None
    assert before.kernel_bytes is not None
    pid = os.fork()
    if not pid:
        Path(hierarchy.mount + cgroup, "cgroup.procs").write_text("0")
        pipes = [os.pipe() for _ in range(64)]
        for _, write in pipes:
            os.write(write, b"x" * 65536)
        while pipes:
            signal.pause()
    try:
        deadline = time.monotonic() + 10
        while (after := hierarchy.read(cgroup)) and (after.kernel_bytes or 0) < 4 << 20:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert after is not None
        assert after.kernel_bytes is not None
        grown = after.kernel_bytes - before.kernel_bytes
        assert 64 * 65536 <= grown < 64 * 65536 + (2 << 20)
        assert after.usage_bytes is not None
        assert after.usage_bytes >= after.kernel_bytes
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_finds_processes_in_the_subtree(hierarchy: MemoryHierarchy, cgroup: str) -> None:
    below = cgroup + "/below"
    os.mkdir(hierarchy.mount + below)
    pid = sleeper_in(hierarchy.mount + below)
    try:
        assert hierarchy.of_pid(pid) == below
        assert resolve(HostFs(), hierarchy, f"pid:{pid}") == below
        assert hierarchy.pids(below) == [pid]
        found, dropped = processes_of(HostFs(), hierarchy, cgroup)
        assert [(each.pid, each.cgroup, each.threads) for each in found] == [(pid, below, 1)]
        assert dropped == 0
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert hierarchy.of_pid(pid) is None


def test_walks_every_cgroup_with_the_kernels_ids(hierarchy: MemoryHierarchy, cgroup: str) -> None:
    names = {f"{cgroup}/{number}/{below}" for number in range(3) for below in ("a", "b\\", "é", "x y")}
    for name in names:
        os.makedirs(hierarchy.mount + name)
    walked = dict(hierarchy.walk())
    assert names <= walked.keys()
    assert all(os.stat(hierarchy.mount + path).st_ino == walked[path] for path in names)
    assert len(walked) == sum(1 for _ in os.walk(hierarchy.mount))


def test_survives_thousands_of_cgroups_made_and_removed_meanwhile(hierarchy: MemoryHierarchy, cgroup: str) -> None:
    base = hierarchy.mount + cgroup
    made = 0
    done = threading.Event()

    def churn() -> None:
        nonlocal made
        while made < 5000:
            names = [f"{base}/{number}" for number in range(50)]
            for name in names:
                os.mkdir(name)
            for name in names:
                os.rmdir(name)
            made += len(names)
        done.set()

    thread = threading.Thread(target=churn)
    thread.start()
    seen = gone = 0
    while not done.is_set():
        for path, _ in hierarchy.walk(cgroup):
            found = hierarchy.read(path)
            seen += 1
            if found is None:
                gone += 1
            else:
                assert found.usage_bytes is not None, path
                assert hierarchy.version == 2 or found.kernel_bytes is not None, path
    thread.join()
    assert made == 5000
    assert seen > gone > 0


def test_two_thousand_cgroups_are_all_read(hierarchy: MemoryHierarchy, cgroup: str) -> None:
    for pod in range(40):
        for container in range(50):
            os.makedirs(f"{hierarchy.mount}{cgroup}/{pod}/{container}")

    found = [hierarchy.read(path) for path, _ in hierarchy.walk(cgroup)]

    assert len(found) == 2041
    assert all(found)


@pytest.mark.skipif(not shutil.which("runc"), reason="runc is not installed")
def test_identifies_a_real_runc_container(hierarchy: MemoryHierarchy, cgroup: str, tmp_path: Path) -> None:
    name = f"kmemscope-{os.getpid()}"
    own = cgroup + "/box"
    _bundle(tmp_path, own)
    log = tmp_path / "log"
    with log.open("wb") as out:  # a pipe would stay open as long as the container runs
        command = ["runc", "run", "--detach", name]
        started = subprocess.run(command, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False)
    if started.returncode:
        pytest.skip(f"runc cannot run here: {log.read_text(errors='replace')[-300:]}")
    try:
        state = json.loads(subprocess.run(["runc", "state", name], capture_output=True, check=True).stdout)
        assert resolve(HostFs(), hierarchy, name) == hierarchy.of_pid(state["pid"]) == own
        container, pod = Containers(HostFs()).identify(own)
        assert container is not None
        assert (container.id, container.runtime, container.name, pod) == (name, "runc", name, None)
        found, _ = processes_of(HostFs(), hierarchy, own)
        assert [(each.pid, each.comm) for each in found] == [(state["pid"], "sleep")]
    finally:
        subprocess.run(["runc", "delete", "--force", name], capture_output=True, check=False)
    assert Containers(HostFs()).identify(own) == (None, None)


def _bundle(bundle: Path, cgroup: str) -> None:
    """A bundle whose container sleeps, with a root made of what sleep needs from this machine."""
    root = bundle / "rootfs"
    for file in ["/bin/sleep", *_libraries("/bin/sleep")]:
        target = root / file.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    subprocess.run(["runc", "spec"], cwd=bundle, check=True)
    config = json.loads((bundle / "config.json").read_text())
    config["process"].update(terminal=False, args=["/bin/sleep", "60"], cwd="/")
    config["linux"]["cgroupsPath"] = cgroup
    (bundle / "config.json").write_text(json.dumps(config))


def _libraries(program: str) -> list[str]:
    words = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout.split()
    return [word for word in words if word.startswith("/")]
