"""Answers as JSON, in the shapes of docs/contract.md. Bytes are bytes, times are seconds, absent is null."""

from __future__ import annotations

import json
from typing import Any

from kmemscope.model.checkup import Checkup
from kmemscope.model.explanation import Account, EffectiveLimit, Explanation, GoneCgroup, NodeView
from kmemscope.model.node import Cgroup, Host, Limitation

Json = dict[str, Any]


def why_json(answer: Explanation) -> Json:
    """Shape an explanation as `kmemscope.explanation/1`."""
    return {
        "schema": "kmemscope.explanation/1",
        "level": answer.level.value,
        "limitations": limitations(answer.limitations),
        "time": answer.time,
        "host": host(answer.host),
        "target": target(answer.target),
        "headline": answer.headline,
        "memory": {
            "usage_bytes": answer.target.usage_bytes,
            "limit_bytes": answer.target.limit_bytes,
            "effective_limit": limit(answer.limit),
            "kernel_bytes": answer.target.kernel_bytes,
            "kernel_source": answer.target.kernel_source,
            "sock_bytes": answer.target.sock_bytes,
        },
        "account": account(answer.account) if answer.account else None,
        "no_account": answer.no_account,
        "holders": {
            "processes": [
                {
                    "pid": each.pid,
                    "comm": each.comm,
                    "threads": each.threads,
                    "fds": each.fds,
                    "page_table_bytes": each.page_table_bytes,
                    "cgroup": each.cgroup,
                    "bytes": None,
                }
                for each in answer.processes
            ],
            "processes_left_out": answer.processes_left_out,
            "thread_groups": [],
            "descriptors": [],
            "directories": [],
            "unheld": [],
        },
        "causes": [],
        "no_cause": "causes are not looked for yet: the account says what the memory is",
        "java": None,
        "dashboards": [],
        "growth": None,
        "oom": None,
        "notes": list(answer.notes),
        "cost": {
            "total_seconds": answer.seconds,
            "census_seconds": answer.census_seconds,
            "pages": answer.census_pages,
        },
    }


def node_json(view: NodeView) -> Json:
    """Shape the node's table as `kmemscope.node/1`."""
    return {
        "schema": "kmemscope.node/1",
        "level": view.level.value,
        "limitations": limitations(view.limitations),
        "time": view.time,
        "host": host(view.host),
        "cgroups": [
            {
                **target(row.cgroup),
                "usage_bytes": row.cgroup.usage_bytes,
                "kernel_bytes": row.kernel_bytes,
                "kernel_source": row.cgroup.kernel_source,
                "named_bytes": row.named_bytes,
                "effective_limit": limit(row.limit),
                "share_of_limit": row.share_of_limit,
                "largest_kind": row.largest_kind.value if row.largest_kind else None,
                "largest_bytes": row.largest_bytes,
            }
            for row in view.rows
        ],
        "gone": [gone(each) for each in view.gone],
        "cost": {"total_seconds": view.seconds},
    }


def doctor_json(checkup: Checkup) -> Json:
    """Shape a checkup as `kmemscope.doctor/1`."""
    return {
        "schema": "kmemscope.doctor/1",
        "level": checkup.level.value,
        "host": host(checkup.host),
        "checks": [
            {
                "name": each.name,
                "good": each.good,
                "found": each.found,
                "costs": each.costs,
                "todo": each.todo,
            }
            for each in checkup.checks
        ],
    }


def account(value: Account) -> Json:
    """Shape the account."""
    return {
        "charged_bytes": value.charged_bytes,
        "named_bytes": value.named_bytes,
        "residual_bytes": value.residual_bytes,
        "coverage": round(value.coverage, 6),
        "explained": value.explained,
        "residual": [{"why": part.why, "at_most_bytes": part.at_most_bytes} for part in value.residual],
        "kinds": [
            {
                "kind": row.kind.value,
                "bytes": row.bytes,
                "objects": row.objects,
                "reclaimable": row.reclaimable.value,
                "witness_bytes": row.witness_bytes,
                "meaning": row.meaning,
            }
            for row in value.kinds
        ],
        "objects": [
            {
                "type": row.type,
                "cache": row.cache,
                "aliases": list(row.aliases),
                "kind": row.kind.value,
                "objects": row.objects,
                "bytes": row.bytes,
                "certainty": row.certainty,
                "meaning": row.meaning,
            }
            for row in value.objects
        ],
        "gone": [gone(each) for each in value.gone],
    }


def target(cgroup: Cgroup) -> Json:
    """Shape a cgroup and what it is called."""
    container, pod = cgroup.container, cgroup.pod
    return {
        "cgroup": cgroup.path,
        "cgroup_id": cgroup.id,
        "cgroup_version": cgroup.version,
        "container": {
            "name": container.name,
            "id": container.id,
            "image": container.image,
            "runtime": container.runtime,
        }
        if container
        else None,
        "pod": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid} if pod else None,
    }


def host(value: Host) -> Json:
    """Shape the host."""
    return {
        "kernel": value.kernel,
        "page_bytes": value.page_bytes,
        "cpus": value.cpus,
        "memory_bytes": value.memory_bytes,
    }


def limit(value: EffectiveLimit | None) -> Json | None:
    """Shape the tightest limit."""
    return {"bytes": value.bytes, "cgroup": value.cgroup} if value else None


def limitations(values: tuple[Limitation, ...]) -> list[Json]:
    """Shape what is missing."""
    return [{"what": each.what, "why": each.why, "todo": each.todo} for each in values]


def gone(value: GoneCgroup) -> Json:
    """Shape a payer without a directory."""
    return {"cgroup_id": value.cgroup_id, "name": value.name, "bytes": value.bytes, "online": value.online}


def dumped(value: Json) -> str:
    """Write JSON as text: one line ending, and lone surrogates of hostile names as escapes."""
    return json.dumps(value, indent=2) + "\n"
