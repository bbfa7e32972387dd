"""The keys that docs/contract.md promised in the beginning; none may ever go."""

EXPLANATION = {
    "schema": 0,
    "level": 0,
    "time": 0,
    "host": {"kernel": 0, "page_bytes": 0, "cpus": 0, "memory_bytes": 0},
    "target": {
        "cgroup": 0, "cgroup_id": 0, "cgroup_version": 0,
        "container": {"name": 0, "id": 0, "image": 0, "runtime": 0},
        "pod": {"name": 0, "namespace": 0, "uid": 0},
    },
    "memory": {"usage_bytes": 0, "limit_bytes": 0, "kernel_bytes": 0, "kernel_source": 0, "sock_bytes": 0},
    "account": {
        "named_bytes": 0, "residual_bytes": 0, "coverage": 0,
        "residual": [{"why": 0, "at_most_bytes": 0}],
        "kinds": [{"kind": 0, "bytes": 0, "objects": 0, "reclaimable": 0}],
        "objects": [{"type": 0, "cache": 0, "kind": 0, "objects": 0, "bytes": 0, "certainty": 0}],
    },
    "holders": {
        "processes": [{"pid": 0, "comm": 0, "threads": 0, "fds": 0, "bytes": 0}],
        "thread_groups": [{"pid": 0, "name": 0, "threads": 0, "bytes": 0}],
        "descriptors": [{"pid": 0, "type": 0, "state": 0, "peer": 0, "count": 0, "bytes": 0}],
        "directories": [{"path": 0, "fs": 0, "dentries": 0, "negative": 0, "inodes": 0, "bytes": 0}],
        "unheld": [{"type": 0, "bytes": 0, "why": 0}],
    },
    "causes": [
        {
            "id": 0, "title": 0, "bytes": 0, "share": 0, "confidence": 0, "reclaimable": 0, "growing": 0,
            "evidence": [0], "where": [{"frame": 0, "bytes": 0}], "fix": 0, "doc": 0,
        }
    ],
    "java": {"pid": 0, "main": 0, "version": 0, "threads_live": 0},
    "dashboards": [{"name": 0, "bytes": 0, "differs_because": 0}],
    "growth": None,
    "oom": None,
    "cost": {"total_seconds": 0, "census_seconds": 0, "pages": 0},
}  # fmt: skip
"""Keys of `why --json`; a list shows one of its members."""
