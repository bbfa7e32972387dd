"""Tries everything that an exact answer needs, once, and says what each missing thing costs."""

from __future__ import annotations

import os
import time
from pathlib import Path

from kmemscope.model.checkup import Check, Checkup
from kmemscope.model.errors import KmemscopeError
from kmemscope.model.node import Level
from kmemscope.observe.bpf.skeleton import BTF, CAPABILITIES
from kmemscope.observe.census import INIT_PID_NAMESPACE, PID_NAMESPACE, CensusTaker
from kmemscope.observe.cgroups import MemoryHierarchy
from kmemscope.observe.host import read_host
from kmemscope.observe.hostfs import HostFs

CAPABILITY_BITS = {"CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21, "CAP_PERFMON": 38, "CAP_BPF": 39}
"""include/uapi/linux/capability.h."""
CENSUS_COSTS = "no breakdown by type of object; on cgroup v1 no breakdown at all"


def examine(root: Path) -> Checkup:
    """Try everything. Never raises: what fails is a check that failed."""
    hostfs = HostFs(root)
    cgroups, namespaced = check_cgroups(hostfs)
    census = check_census()
    checks = [*cgroups, check_rights(), check_btf(), *census, check_pids()]
    exact = all(check.good for check in (*cgroups, *census))
    level = Level.EXACT if exact else Level.INSIDE if namespaced else Level.COUNTERS
    return Checkup(level, read_host(hostfs), tuple(checks))


def check_cgroups(hostfs: HostFs) -> tuple[list[Check], bool]:
    """Look for the memory hierarchy and its kernel counter; and whether only a part of it can be seen."""
    try:
        hierarchy = MemoryHierarchy.find(hostfs)
    except KmemscopeError as error:
        return [failed("memory cgroups", error, "nothing can be said about containers")], False
    found = [Check("memory cgroups", True, f"cgroup v{hierarchy.version} at {hierarchy.mount}")]
    counted = any(
        cgroup and cgroup.kernel_bytes is not None
        for cgroup in (hierarchy.read(path) for path, _ in hierarchy.walk(limit=100))
    )
    found.append(
        Check(
            "the kernel's own number",
            counted,
            "kernel memory is counted per cgroup" if counted else "no cgroup has a number for its kernel memory",
            "nothing to compare the census with",
            "boot without cgroup.memory=nokmem",
        )
    )
    return found, hierarchy.namespaced


def check_rights() -> Check:
    """Say who we are, and which of the capabilities that we need are missing."""
    who = "root" if os.geteuid() == 0 else f"user {os.geteuid()}"
    held = effective_capabilities()
    missing = [name for name, bit in CAPABILITY_BITS.items() if not held >> bit & 1]
    return Check(
        "rights",
        not missing,
        f"{who} without {', '.join(missing)}" if missing else who,
        "other users' processes are seen in part, and the census needs capabilities",
        f"give this process {', '.join(missing)}" if os.geteuid() == 0 else CAPABILITIES,
    )


def effective_capabilities() -> int:
    """Bit mask of what this process may do (CapEff of /proc/self/status); none where that cannot be read."""
    for line in (HostFs().read("/proc/self/status", 1 << 14) or b"").splitlines():
        if line.startswith(b"CapEff:"):
            return int(line.split()[1], 16)
    return 0


def check_btf() -> Check:
    """Look for the kernel's description of its types."""
    return Check(
        "kernel types (BTF)",
        BTF.exists(),
        str(BTF) if BTF.exists() else f"{BTF} is missing",
        CENSUS_COSTS,
        "run a kernel built with CONFIG_DEBUG_INFO_BTF",
    )


def check_census() -> list[Check]:
    """Load the census programs and take a census."""
    started = time.perf_counter()
    try:
        taker = CensusTaker.open()
    except KmemscopeError as error:
        return [failed("census programs", error, CENSUS_COSTS)]
    loaded = time.perf_counter() - started
    with taker:
        checks = [Check("census programs", True, f"loaded in {loaded * 1000:.0f} ms")]
        try:
            census = taker.take()
        except KmemscopeError as error:
            return [*checks, failed("census", error, CENSUS_COSTS)]
    words = f"{census.pages:,} page headers in {census.seconds * 1000:.0f} ms"
    return [*checks, Check("census", True, "; ".join([words, *census.notes]))]


def check_pids() -> Check:
    """Say whether all processes of the host can be seen."""
    try:
        whole = PID_NAMESPACE.readlink() == INIT_PID_NAMESPACE
    except OSError:
        whole = False
    return Check(
        "processes",
        whole,
        "all of the host are seen" if whole else "only those of this pid namespace are seen",
        "stacks of the others count as vmalloc, their pipes' data as other pages",
        "run in the host's pid namespace (hostPID: true, --pid=host)",
    )


def failed(name: str, error: KmemscopeError, costs: str) -> Check:
    """Make a check of an error."""
    return Check(name, False, f"{error.what}: {error.why}" if error.why else error.what, costs, error.todo)
