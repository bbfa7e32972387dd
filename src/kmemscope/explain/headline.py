"""The answer in one or two sentences: how much, how near the limit, and mostly what."""

from __future__ import annotations

from kmemscope.model.explanation import Account, EffectiveLimit, KindRow, ObjectRow
from kmemscope.model.kinds import Kind
from kmemscope.model.node import Cgroup, Process
from kmemscope.model.units import count, percent, size

NEGLIGIBLE_BYTES = 1 << 20
LEADING_TYPE_SHARE = 0.25
"""A type of object is worth naming when it makes up at least this part of its kind."""
SLABS = (Kind.SLAB_RECLAIMABLE, Kind.SLAB_UNRECLAIMABLE)


def headline(
    target: Cgroup, limit: EffectiveLimit | None, account: Account | None, processes: tuple[Process, ...]
) -> str:
    """Say the whole answer in one or two sentences."""
    if target.kernel_bytes is None:
        return "The kernel does not say how much kernel memory this cgroup has."
    charged = account.charged_bytes if account else target.kernel_bytes
    first = f"{size(charged)} of kernel memory"
    if limit and limit.bytes:
        first += f", {percent(charged / limit.bytes)} of the {size(limit.bytes)} limit"
        first += "" if limit.cgroup == target.path else f" of {limit.cgroup}"
    if charged < NEGLIGIBLE_BYTES:
        return f"{first}: next to nothing."
    if not account or not account.kinds:
        return f"{first}."
    return f"{first}. {mostly(account, processes)}"


def mostly(account: Account, processes: tuple[Process, ...]) -> str:
    """Name the kind that leads, and the type of object that leads in it."""
    leader = account.kinds[0]
    share = leader.bytes / account.charged_bytes
    word = "Mostly" if share >= 0.5 else "The largest part is"
    text = f"{word} {leader.label}: {size(leader.bytes)} ({percent(min(share, 1.0))})"
    detail = leading_type(account, leader) if leader.kind in SLABS else leader.meaning
    if leader.kind is Kind.KERNEL_STACK and processes:
        detail = threads(processes)
    return f"{text}, {detail}." if detail else f"{text}."


def threads(processes: tuple[Process, ...]) -> str:
    """Say how many threads the kernel stacks are for, and which process has the most."""
    most = max(processes, key=lambda process: (process.threads, -process.pid))
    total = sum(process.threads for process in processes)
    process = f"{most.comm} (pid {most.pid})"
    if most.threads == total:
        return f"one for each of {count(total)} threads of {process}"
    return f"one for each of {count(total)} threads, {count(most.threads)} of them in {process}"


def leading_type(account: Account, kind: KindRow) -> str:
    """Name the types of objects that make up most of a kind of slab."""
    rows = [row for row in account.objects if row.kind is kind.kind]
    if not rows or rows[0].bytes < LEADING_TYPE_SHARE * kind.bytes:
        return f"spread over {count(len(rows))} types of objects"
    return f"mostly {described(rows[0])}"


def described(row: ObjectRow) -> str:
    """Write a type of object with its number and what it stands for."""
    meaning = f" ({row.meaning})" if row.meaning else ""
    return f"{count(row.objects)} × {row.type}{meaning}"
