"""The answer of `why`, for people: what it is first, the account below it, how it was read at the end."""

from __future__ import annotations

from kmemscope.model.explanation import Account, Explanation, GoneCgroup, KindRow, ObjectRow
from kmemscope.model.kinds import Kind, Reclaimable
from kmemscope.model.node import Cgroup, Level, Limitation, Process
from kmemscope.model.units import count, percent, size
from kmemscope.present.safe import safe
from kmemscope.present.style import Style
from kmemscope.present.table import Column, table

TYPES_A_KIND = 6
PROCESSES_SHOWN = 5
BAR_CELLS = 12
NOTABLE_SHARE = 0.005
SLABS = (Kind.SLAB_RECLAIMABLE, Kind.SLAB_UNRECLAIMABLE)


def why_text(answer: Explanation, style: Style, *, verbose: bool = False) -> str:
    """Write an explanation as text; `verbose` leaves nothing out."""
    lines = [style.bold(title(answer.target, answer.level)), "", style.bold(safe(answer.headline, 600)), ""]
    if answer.account:
        lines += account_lines(answer.account, style, verbose=verbose)
    elif answer.no_account:
        lines += [f"No account: {answer.no_account}.", *row_lines(answer.target)]
    if answer.target.sock_bytes:
        lines += [
            "",
            f"Beside it: {size(answer.target.sock_bytes)} of socket data (sock), charged but not kernel memory.",
        ]
    lines += process_lines(answer, style, verbose=verbose)
    lines += ["", *(style.dim(line) for line in source_lines(answer))]
    lines += [style.warn(line) for line in limitation_lines(answer.level, answer.limitations)]
    return "\n".join(lines).rstrip() + "\n"


def title(cgroup: Cgroup, level: Level) -> str:
    """Name a target: container, pod, cgroup."""
    path = safe(cgroup.path)
    if level is Level.INSIDE and cgroup.path == "/":
        return "this container, seen from inside"
    if not cgroup.container:
        return path
    name = safe(cgroup.container.name) if cgroup.container.name else safe(cgroup.container.id[:12])
    pod = ""
    if cgroup.pod:
        pod = f" in pod {safe(cgroup.pod.namespace or '?')}/{safe(cgroup.pod.name or cgroup.pod.uid)}"
    return f"{name}{pod} ({safe(cgroup.container.runtime)})  {path}"


def account_lines(account: Account, style: Style, *, verbose: bool) -> list[str]:
    """Write bytes charged = named + residual, kind by kind, with the types of objects below each kind of slab."""
    rows: list[tuple[str, str, str, str, str]] = []
    for kind in account.kinds:
        rows.append(kind_cells(kind, account.charged_bytes))
        if kind.kind in SLABS or kind.kind is Kind.OTHER_PAGES:
            rows += type_cells(account, kind, verbose=verbose)
    label = "not named" if account.residual_bytes >= 0 else "named above the charge"
    rows.append((label, size(abs(account.residual_bytes)), share(account.residual_bytes, account), "", ""))
    rows.append(("charged", size(account.charged_bytes), "", "", ""))
    columns = [Column(""), Column("", right=True), Column("", right=True), Column(""), Column("")]
    lines = [style.fit(line) for line in table(columns, rows, indent="  ")]
    charged_at = len(lines) - 1
    lines[charged_at] = style.bold(lines[charged_at])
    lines += ["", f"  {coverage_line(account)}"]
    if account.gone:
        lines += ["", *(f"  {line}" for line in gone_lines(account.gone))]
        if verbose:
            lines += [f"    {safe(each.name)} (id {each.cgroup_id}): {size(each.bytes)}" for each in account.gone]
    return lines


def kind_cells(row: KindRow, charged: int) -> tuple[str, str, str, str, str]:
    """Write one kind: name, bytes, share, bar, what it is."""
    part = row.bytes / charged if charged else 0.0
    bar = "█" * max(round(min(part, 1.0) * BAR_CELLS), 1 if part >= NOTABLE_SHARE else 0)
    words = row.meaning if row.reclaimable is Reclaimable.NO else f"{row.meaning} ({row.reclaimable.value} reclaimable)"
    return row.label, size(row.bytes), percent(part), bar, words


def type_cells(account: Account, kind: KindRow, *, verbose: bool) -> list[tuple[str, str, str, str, str]]:
    """Write the types of objects of one kind, the small ones together."""
    types = [row for row in account.objects if row.kind is kind.kind]
    if len(types) == 1 and types[0].type == kind.kind:
        return []
    shown = (
        types
        if verbose
        else [row for row in types if row.bytes >= NOTABLE_SHARE * account.charged_bytes][:TYPES_A_KIND]
    )
    rest = types[len(shown) :]
    cells = [(f"  {safe(row.type)}", size(row.bytes), "", "", type_words(row)) for row in shown]
    if rest:
        amount = sum(row.bytes for row in rest)
        noun = "type" if len(rest) == 1 else "types"
        cells.append((f"  {count(len(rest))} more {noun}", size(amount), "", "", ""))
    return cells


def type_words(row: ObjectRow) -> str:
    """Write how many objects of a type there are, what they stand for, and which types share the cache."""
    if row.cache is None:
        return f"{size(row.bytes)} in pages" if not row.meaning else row.meaning
    words = f"{count(row.objects)} × {size(row.bytes // max(row.objects, 1))}"
    if row.meaning:
        words += f": {row.meaning}"
    others = [safe(alias) for alias in row.aliases if alias != row.type]
    if others:
        listed = ", ".join(others[:4]) + (", …" if len(others) > 4 else "")
        words += f" (merged with {listed})"
    return words


def share(amount: int, account: Account) -> str:
    """Write an amount as a part of what is charged."""
    return percent(amount / account.charged_bytes) if account.charged_bytes and amount > 0 else ""


def coverage_line(account: Account) -> str:
    """Say how much of the charge has a name, and what the rest can be."""
    parts = "; ".join(f"{part.why}: {size(part.at_most_bytes)}" for part in account.residual)
    if account.residual_bytes < 0:
        excess = f"All named, and {size(-account.residual_bytes)} more than was charged"
        reason = "memory came and went while it was counted" if account.explained else "more than is known to cause it"
        return f"{excess}: {reason}."
    if account.explained:
        return f"{percent(account.coverage)} named. Not named, at most: {parts}." if parts else "All named."
    return f"{percent(account.coverage)} named. More is not named than is known to cause it ({parts or 'nothing'})."


def gone_lines(gone: tuple[GoneCgroup, ...]) -> list[str]:
    """Say that cgroups pay that have no directory any more, or had none yet when the directories were read."""
    removed = [each for each in gone if not each.online]
    made = [each for each in gone if each.online]
    return [
        f"{size(sum(each.bytes for each in some))} of it: {count(len(some))} {words}."
        for some, words in ((removed, "removed but still paying (-v lists them)"), (made, "made meanwhile"))
        if some
    ]


def row_lines(cgroup: Cgroup) -> list[str]:
    """Write the rows of memory.stat that are kinds of kernel memory."""
    rows = sorted(((cgroup.stat[kind], kind.value) for kind in Kind if cgroup.stat.get(kind)), reverse=True)
    return (
        [
            "",
            *table([Column(""), Column("", right=True)], [(name, size(amount)) for amount, name in rows], "  "),
        ]
        if rows
        else []
    )


def process_lines(answer: Explanation, style: Style, *, verbose: bool) -> list[str]:
    """Write the processes with the most threads and descriptors."""
    ranked = sorted(answer.processes, key=weight, reverse=True)
    shown = ranked if verbose else ranked[:PROCESSES_SHOWN]
    if not shown:
        return []
    left = len(ranked) - len(shown) + answer.processes_left_out
    columns = [
        Column("PID", right=True), Column("PROCESS"), Column("THREADS", right=True), Column("FDS", right=True),
        Column("PAGE TABLES", right=True),
    ]  # fmt: skip
    rows = [
        (
            str(each.pid),
            safe(each.comm),
            count(each.threads),
            "?" if each.fds is None else count(each.fds),
            "?" if each.page_table_bytes is None else size(each.page_table_bytes),
        )
        for each in shown
    ]
    lines = ["", *table(columns, rows, "  ")]
    lines[1] = style.dim(lines[1])
    return [*lines, f"  and {count(left)} more"] if left else lines


def weight(process: Process) -> int:
    """Rough bytes of kernel memory that a process stands for, to rank by: 16 KiB a thread, 1 KiB a descriptor."""
    return process.threads * 16384 + (process.fds or 0) * 1024 + (process.page_table_bytes or 0)


def source_lines(answer: Explanation) -> list[str]:
    """Say where the numbers come from."""
    source = answer.target.kernel_source
    how = f"charged: {safe(source)}" if source else "charged: not known"
    if answer.census_pages is not None and answer.census_seconds is not None:
        how += f"; named: {count(answer.census_pages)} page headers read in {answer.census_seconds * 1000:.0f} ms"
    lines = [f"Read from kernel {safe(answer.host.kernel)}, cgroup v{answer.target.version}. {how}."]
    return [*lines, *(f"Note: {safe(note)}." for note in answer.notes)]


def limitation_lines(level: Level, limitations: tuple[Limitation, ...]) -> list[str]:
    """Say what is missing, why, and how to get it."""
    lines = [] if level is Level.EXACT else [f"Level {level.value}, not exact:"]
    for each in limitations:
        why, *more = each.why.splitlines() or [""]  # more: the verifier's words
        line = f"{safe(each.what)}: {safe(why)}" if why else safe(each.what)
        todo = f"To get it: {safe(each.todo)}." if each.todo else ""
        if more:
            lines += [line, *(f"  {safe(words)}" for words in more), *([f"  {todo}"] if todo else [])]
        else:
            lines.append(f"{line}. {todo}".rstrip())
    return lines
