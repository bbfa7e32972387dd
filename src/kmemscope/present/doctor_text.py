"""The answer of `doctor`, for people."""

from __future__ import annotations

from kmemscope.model.checkup import Check, Checkup
from kmemscope.present.safe import safe
from kmemscope.present.style import Style


def doctor_text(checkup: Checkup, style: Style) -> str:
    """Write every check, with what a failed one costs and how to mend it."""
    lines = [line for check in checkup.checks for line in check_lines(check, style)]
    lines += ["", style.bold(f"Answers from this node are at level {checkup.level.value}.")]
    return "\n".join(lines) + "\n"


def check_lines(check: Check, style: Style) -> list[str]:
    """Write one check."""
    first, *rest = check.found.splitlines() or [""]
    line = f"{'ok ' if check.good else 'NO '} {check.name}: {safe(first)}"
    if check.good:
        return [line]
    more = [f"      {safe(each)}" for each in rest]
    if check.costs:
        more.append(f"      without it: {check.costs}")
    if check.todo:
        more.append(f"      to get it: {safe(check.todo)}")
    return [style.warn(line), *more]
