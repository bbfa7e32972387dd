"""The table of a whole node, for people."""

from __future__ import annotations

from kmemscope.model.explanation import NodeRow, NodeView
from kmemscope.model.units import count, percent, size
from kmemscope.present.safe import safe, shortened
from kmemscope.present.style import Style
from kmemscope.present.table import Column, table
from kmemscope.present.why_text import gone_lines, limitation_lines

ROWS_SHOWN = 30
LEAST_NAME_COLUMNS = 20
OTHER_COLUMNS = 56
COLUMNS = (
    Column("CONTAINER OR CGROUP"),
    Column("KERNEL", right=True),
    Column("OF LIMIT", right=True),
    Column("LARGEST KIND"),
    Column("", right=True),
)


def node_text(view: NodeView, style: Style, *, verbose: bool = False) -> str:
    """Write the table of all cgroups; containers first in it, then others, each largest first."""
    ordered = sorted(view.rows, key=lambda row: not row.is_container)
    shown = ordered if verbose else ordered[:ROWS_SHOWN]
    room = None if style.columns is None or verbose else max(style.columns - OTHER_COLUMNS, LEAST_NAME_COLUMNS)
    lines = table(COLUMNS, [cells(row, room) for row in shown])
    lines[0] = style.bold(lines[0])
    if len(shown) < len(ordered):
        lines.append(f"and {count(len(ordered) - len(shown))} more cgroups (-v shows all)")
    if view.gone:
        lines += gone_lines(view.gone)
    lines += [
        "",
        style.dim(f"Kernel {safe(view.host.kernel)}, level {view.level.value}. A cgroup includes those below it."),
    ]
    lines += [style.warn(line) for line in limitation_lines(view.level, view.limitations)]
    return "\n".join(lines) + "\n"


def cells(row: NodeRow, name_columns: int | None) -> tuple[str, str, str, str, str]:
    """Write one row; a name that is wider than there is room is shortened, for a pipe it is whole."""
    container = row.cgroup.container if row.is_container else None
    label = f"{container.name or container.id[:12]} ({container.runtime})" if container else row.cgroup.path
    return (
        safe(label, 4096) if name_columns is None else shortened(label, name_columns),
        "?" if row.kernel_bytes is None else size(row.kernel_bytes),
        "-" if row.share_of_limit is None else percent(row.share_of_limit),
        row.largest_label or "-",
        "-" if row.largest_bytes is None else size(row.largest_bytes),
    )
