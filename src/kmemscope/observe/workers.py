"""Shares pieces of memory among as many workers as the census has, each a thread that waits in the kernel."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence

from kmemscope.model.errors import KmemscopeError
from kmemscope.observe.memory_ranges import PageRange

WORKERS = 2
"""As many as bpf/census.h has state for: enough to halve the time, few enough to leave a node its other CPUs."""


def share(pieces: Sequence[PageRange], work: Callable[[int, PageRange], None], workers: int = WORKERS) -> None:
    """Call work(worker, piece) once for every piece. Raises what the first worker to fail raised."""
    todo = list(reversed(pieces))
    failures: list[KmemscopeError | OSError] = []

    def run(worker: int) -> None:
        while not failures:
            try:
                piece = todo.pop()
            except IndexError:
                return
            try:
                work(worker, piece)
            except (KmemscopeError, OSError) as error:
                failures.append(error)

    # More than there are CPUs would only take turns.
    usable = len(os.sched_getaffinity(0))
    threads = [threading.Thread(target=run, args=(i,)) for i in range(1, min(workers, usable, len(todo)))]
    for thread in threads:
        thread.start()
    run(0)
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
