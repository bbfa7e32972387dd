"""The census in parts, as the benchmarks measure it: the programs and all that is found once, in one place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.timing import Work
from kmemscope.observe import page_headers
from kmemscope.observe.bpf.census_programs import CensusPrograms
from kmemscope.observe.census import PIECE_PAGES, CensusTaker, memory, possible_cpus
from kmemscope.observe.memory_ranges import PageRange, pieces

ENTRIES = {"charges": 1 << 16, "owners": 1 << 14, "marks": 1 << 18, "areas": 1 << 14, "chunks": 1 << 10}


@dataclass(frozen=True, slots=True)
class Subject:
    """A census that is loaded, with access to its parts."""

    programs: CensusPrograms
    taker: CensusTaker
    headers: int
    pieces: tuple[PageRange, ...]

    @classmethod
    @contextmanager
    def loaded(cls) -> Iterator[Subject]:
        """Load the programs, and unload them afterwards."""
        programs = CensusPrograms(ENTRIES)
        try:
            ranges = memory()
            taker = CensusTaker(programs, ranges, possible_cpus())
            taker.take()  # finds what is found once
            base = page_headers.find(programs).base
            yield cls(programs, taker, base, tuple(pieces(ranges, PIECE_PAGES)))
        finally:
            programs.close()

    @property
    def pages(self) -> int:
        """Pages of RAM that the census has to account for."""
        return sum(piece.end - piece.start for piece in self.pieces)

    def walk(self, cpus: int) -> Work:
        """Count everything, with the marks made before."""
        return Work(lambda: self.taker.walk(cpus), cpus, prepare=self.taker.mark)

    def take(self, cpus: int) -> Work:
        """Take a whole census."""
        return Work(self.taker.take, cpus)
