"""The floor below every census: the BPF program of floor.bpf.c, which reads all page headers and decides nothing."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from kmemscope.observe import workers
from kmemscope.observe.bpf import skeleton, syscalls
from kmemscope.observe.bpf.census_programs import SLICE_NS
from kmemscope.observe.memory_ranges import PageRange

HERE = Path(__file__).parent
BUILDER = HERE.parent / "bpf/build.py"
OBJECTS = HERE.parent / "build/benchmarks"
READ_ALL = struct.Struct("=6Q")


class Floor:
    """The loaded program, and what it reads."""

    def __init__(self, headers: int, pieces: Sequence[PageRange]) -> None:
        subprocess.run([sys.executable, BUILDER, HERE, OBJECTS], check=True, stderr=subprocess.PIPE)
        self._loaded = skeleton.load("floor", {}, OBJECTS)
        self._headers = headers
        self._pieces = pieces
        self.faults = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loaded.close()

    def read_all(self, count: int) -> None:
        """Read all page headers on `count` workers, shared as the census shares them."""
        workers.share(self._pieces, self._read, count)

    def _read(self, worker: int, piece: PageRange) -> None:
        at = piece.start
        while at < piece.end:
            arguments = READ_ALL.pack(worker, self._headers, at, piece.end, SLICE_NS, 0)
            *_, at, _, _, faults = READ_ALL.unpack(syscalls.prog_run(self._loaded.programs["read_all"], arguments)[1])
            self.faults += faults
