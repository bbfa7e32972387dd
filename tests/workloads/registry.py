"""All workloads by name."""

from __future__ import annotations

from tests.workloads import (
    address_space,
    bpf_maps,
    events,
    file_tables,
    files,
    filters,
    inet_sockets,
    ipc,
    keys,
    local_sockets,
    names,
    namespaces,
    nested_cgroups,
    pipes,
    processes,
    rings,
    terminals,
    threads,
    timers,
)
from tests.workloads.workload import Workload

_FAMILIES = (
    threads,
    processes,
    pipes,
    local_sockets,
    inet_sockets,
    events,
    timers,
    files,
    names,
    address_space,
    file_tables,
    ipc,
    namespaces,
    nested_cgroups,
    bpf_maps,
    filters,
    rings,
    keys,
    terminals,
)

WORKLOADS: dict[str, Workload] = {each.name: each for family in _FAMILIES for each in family.WORKLOADS}
