"""Captures of real memory and the answers to them, kept to notice when an answer changes.

`python -m tests.captures` writes the answers beside each capture anew, after a change that is meant to change them:
read the difference before it is committed. `python -m tests.captures --record` makes the captures themselves anew: as
root, on a quiet machine, in cgroups of its own.
"""

from __future__ import annotations

import argparse
import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from kmemscope.model.node import Level, Limitation
from kmemscope.observe.bpf.skeleton import refusal
from kmemscope.observe.hostfs import HostFs
from kmemscope.observe.machine import Machine
from kmemscope.record.capture import read, write
from tests.captures.answers import FOLDER, answers
from tests.captures.leak import LEAKS
from tests.captures.scrub import scrubbed
from tests.hierarchy import Hierarchy
from tests.system.cgroups import child, run_subtree, settled_kernel_bytes
from tests.system.running import answer, start


@contextmanager
def leaking(name: str) -> Iterator[Path]:
    """A cgroup in which both programs leak, each in a cgroup of its own below it."""
    hierarchy = Hierarchy.find()
    assert hierarchy, "the memory controller is needed"
    with ExitStack() as stack:
        top = stack.enter_context(run_subtree(hierarchy))
        shop = stack.enter_context(child(top, name))
        for leak in LEAKS:
            cgroup = stack.enter_context(child(shop, leak))
            process = stack.enter_context(start("tests.captures.leak", [leak], cgroup))
            assert answer(process) == "READY\n"
        settled_kernel_bytes(shop)
        yield shop.path


def record() -> None:
    """Look at the cgroup with the census, and as it looks where bpf(2) is refused."""
    with leaking("shop") as path, Machine.open(Path("/")) as machine:
        assert machine.level is Level.EXACT, machine.limitations
        exact = machine.look_at(str(path))
        error = refusal(OSError(errno.EPERM, os.strerror(errno.EPERM)), "bpf(2) was refused")
        refused = (Limitation(error.what, error.why, error.todo),)
        counters = Machine(HostFs(), machine.hierarchy, machine.host, None, refused).look_at(str(path))
    write(scrubbed(exact, "shop"), FOLDER / "shop.kms")
    write(scrubbed(replace(counters, level=Level.COUNTERS), "shop"), FOLDER / "shop-counters.kms")


def main() -> None:
    """Write what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.captures", description=__doc__)
    parser.add_argument("--record", action="store_true", help="make the captures anew, too")
    if parser.parse_args().record:
        record()
    for capture in sorted(FOLDER.glob("*.kms")):
        capture.chmod(0o644)
        for name, text in answers(read(capture)).items():
            (FOLDER / f"{capture.stem}.{name}").write_text(text)


if __name__ == "__main__":
    main()
