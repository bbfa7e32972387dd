"""Takes the census: runs the BPF programs of bpf/census.bpf.c and turns what they counted into a Census.

Knows the layouts that the C file and this one share. Does not know what any of it means.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from kmemscope.model.census import Census, Charge, Owner, SlabCache
from kmemscope.model.errors import KernelUnsupported, NotPermitted
from kmemscope.model.kinds import Kind
from kmemscope.observe import page_headers
from kmemscope.observe.bpf import skeleton, syscalls
from kmemscope.observe.memory_ranges import PageRange, block_ranges, pieces, ram_ranges
from kmemscope.observe.slab_names import merged_names

# enum what
LAST_PAGE_USE = 7
PAGE_USES: dict[int, tuple[Kind, str | None]] = {
    1: (Kind.OTHER_PAGES, None),
    2: (Kind.PAGETABLES, None),
    3: (Kind.SLAB_UNRECLAIMABLE, "large kmalloc"),
    4: (Kind.KERNEL_STACK, None),
    5: (Kind.PIPE_BUFFERS, None),
    6: (Kind.VMALLOC, None),
    7: (Kind.OTHER_PAGES, "blocks of pages (large kmalloc, io_uring rings)"),
}
WALK = struct.Struct("=10Q")
MARKING = struct.Struct("=3Q")
CHARGE_KEY = struct.Struct("=QQ")
COUNT = struct.Struct("=Q")
OWNER = struct.Struct("=QQII64s")
CACHE = struct.Struct("=IIII48s")
SLOT_ZERO = struct.pack("=I", 0)

WORKERS = 2
PIECE_PAGES = 1 << 18
SLICE_NS = 4_000_000
"""Time after which a walk returns to us: far below 10 ms, so that nothing else waits for its CPU."""
ITERATOR_BYTES = 16384
"""Objects an iterator visits in one read(2): an eighth of this."""
ENTRIES = {"charges": (1 << 14, 32), "owners": (1 << 12, 2), "marks": (1 << 15, 64)}
"""Sizes of the result maps to begin with: the least, and how many more for each cgroup."""
GROWTH = 4
ROUNDS = 6
OWNER_POINTER_BYTES = 8
"""Charged with every slab object for its entry in the owner table: obj_full_size(), mm/memcontrol.c, 5.9 to 7.3."""
INIT_PID_NAMESPACE = "pid:[4026531836]"
"""PROC_PID_INIT_INO, include/linux/proc_ns.h."""
CSS_ONLINE = 2
IOMEM = Path("/proc/iomem")
BLOCKS = Path("/sys/devices/system/memory")


@dataclass(slots=True)
class Totals:
    """What the walks reported, added up over workers and slices."""

    pages: int = 0
    faults: int = 0
    unowned: int = 0
    races: int = 0
    dropped: int = 0


class CensusTaker:
    """Loads the programs once and takes any number of censuses with them."""

    def __init__(self, ranges: Sequence[PageRange], entries: Mapping[str, int]):
        self._entries = dict(entries)
        self._loaded = skeleton.load("census", self._entries)
        try:
            self._headers = page_headers.find(self._loaded.programs["probe"])
        except BaseException:
            self._loaded.close()
            raise
        self._pieces = pieces(ranges, PIECE_PAGES)
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")
        self._names: Mapping[str, tuple[str, ...]] = merged_names()

    @classmethod
    def open(cls, cgroups: int = 0) -> CensusTaker:
        """Load the programs, find the page headers and the ranges of RAM.

        `cgroups` is about how many there are, so that the result fits at the first try. Raises NotPermitted or
        KernelUnsupported, with the reason and the remedy.
        """
        return cls(memory(), {name: max(least, each * cgroups) for name, (least, each) in ENTRIES.items()})

    def close(self) -> None:
        """Unload the programs."""
        self._loaded.close()

    def __enter__(self) -> CensusTaker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def take(self) -> Census:
        """Walk all page headers once and say who pays for what.

        Takes about 5 ns a page and 10 ns a charged object, on up to two CPUs. Raises KernelUnsupported when the
        result does not fit into maps of any size the kernel gives us.
        """
        for _ in range(ROUNDS):
            started = time.perf_counter()
            self._empty("charges", CHARGE_KEY.size, COUNT.size)  # of what a failed census left
            marks_dropped = self._mark()
            totals = self._walk()
            if not marks_dropped and not totals.dropped:
                return self._result(totals, started)
            self._grow(("marks",) if marks_dropped else ("charges", "owners"))
        raise KernelUnsupported(
            "the census did not fit into any map that this kernel allows",
            why=f"{totals.dropped} counts and {marks_dropped} marks were dropped in the last of {ROUNDS} rounds",
        )

    def _grow(self, names: Iterable[str]) -> None:
        """Load the programs again with larger maps: the only way to enlarge one without stopping the node's RCU."""
        for name in names:
            self._entries[name] *= GROWTH
        self._loaded.close()
        self._loaded = skeleton.load("census", self._entries)

    def _empty(self, name: str, key_bytes: int, value_bytes: int) -> list[tuple[bytes, bytes]]:
        return list(syscalls.map_items(self._loaded.maps[name], key_bytes, value_bytes, empty=True))

    def _mark(self) -> int:
        """Mark the pages of kernel stacks and pipes; returns how many marks did not fit."""
        self._empty("marks", COUNT.size, COUNT.size)
        marking = self._loaded.maps["marking"]
        syscalls.map_update(marking, SLOT_ZERO, MARKING.pack(self._headers.base, 0, 0))
        for program in ("mark_tasks", "mark_pipes"):
            syscalls.iter_run(self._loaded.programs[program], ITERATOR_BYTES)
        dropped: int = MARKING.unpack(syscalls.map_lookup(marking, SLOT_ZERO, MARKING.size))[2]
        return dropped

    def _walk(self) -> Totals:
        todo = list(reversed(self._pieces))
        totals = [Totals() for _ in range(min(WORKERS, os.cpu_count() or 1, len(todo)))]
        failures: list[OSError] = []

        def work(worker: int) -> None:
            try:
                while todo:
                    self._walk_piece(worker, todo.pop(), totals[worker])
            except IndexError:  # the other worker took the last piece
                pass
            except OSError as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(1, len(totals))]
        for thread in threads:
            thread.start()
        work(0)
        for thread in threads:
            thread.join()
        if failures:
            raise skeleton.refusal(failures[0], "the kernel refused to run the census")
        return Totals(
            *(sum(getattr(each, name) for each in totals) for name in ("pages", "faults", "unowned", "races", "dropped"))
        )

    def _walk_piece(self, worker: int, piece: PageRange, totals: Totals) -> None:
        at = piece.start
        while at < piece.end:
            _, answer = syscalls.prog_run(
                self._loaded.programs["walk"],
                WALK.pack(worker, self._headers.base, at, piece.end, SLICE_NS, 0, 0, 0, 0, 0),
            )
            _, _, at, _, _, pages, faults, unowned, races, dropped = WALK.unpack(answer)
            totals.pages += pages
            totals.faults += faults
            totals.unowned += unowned
            totals.races += races
            totals.dropped += dropped

    def _result(self, totals: Totals, started: float) -> Census:
        caches = self._read_caches()
        owners = self._read_owners()
        sums: dict[tuple[int, Kind, str | None, str | None], list[int]] = defaultdict(lambda: [0, 0])
        for key, value in self._empty("charges", CHARGE_KEY.size, COUNT.size):
            objcg, use = CHARGE_KEY.unpack(key)
            (count,) = COUNT.unpack(value)
            cgroup_id = owners[objcg].cgroup_id if objcg in owners else 0
            if use <= LAST_PAGE_USE:
                kind, what = PAGE_USES[use]
                entry = sums[cgroup_id, kind, None, what]
                entry[1] += count * self._page_bytes
            else:
                cache = caches[use]
                kind = Kind.SLAB_RECLAIMABLE if cache.reclaimable else Kind.SLAB_UNRECLAIMABLE
                entry = sums[cgroup_id, kind, cache.name, None]
                entry[1] += count * (cache.object_bytes + OWNER_POINTER_BYTES)
            entry[0] += count
        return Census(
            charges=tuple(Charge(*key, *entry) for key, entry in sorted(sums.items(), key=str)),
            caches=tuple(sorted(set(caches.values()), key=lambda each: each.name)),
            owners=merged_owners(owners.values()),
            pages=totals.pages,
            faults=totals.faults,
            unowned_slabs=totals.unowned,
            races=totals.races,
            seconds=time.perf_counter() - started,
            notes=self._notes(totals),
        )

    def _read_caches(self) -> dict[int, SlabCache]:
        caches = {}
        for key, value in syscalls.map_items(self._loaded.maps["caches"], COUNT.size, CACHE.size, empty=False):
            size, _, reclaimable, _, raw = CACHE.unpack(value)
            name = text(raw)
            caches[COUNT.unpack(key)[0]] = SlabCache(name, self._names.get(name, (name,)), size, bool(reclaimable))
        return caches

    def _read_owners(self) -> dict[int, Owner]:
        owners = {}
        for key, value in self._empty("owners", COUNT.size, OWNER.size):
            cgroup_id, parent_id, flags, pending, raw = OWNER.unpack(value)
            owners[COUNT.unpack(key)[0]] = Owner(
                cgroup_id, text(raw), parent_id or None, bool(flags & CSS_ONLINE), pending
            )
        return owners

    def _notes(self, totals: Totals) -> tuple[str, ...]:
        notes = []
        if os.readlink("/proc/self/ns/pid") != INIT_PID_NAMESPACE:
            notes.append(
                "tasks and pipes of other pid namespaces were not seen: their stacks and pipe data count as other_pages"
                " (run in the host's pid namespace)"
            )
        if not self._headers.stack_areas:
            notes.append("this kernel's stacks are not vmalloc areas: they count as other_pages")
        if not self._headers.large_kmalloc_type:
            notes.append("before kernel 6.16 a large kmalloc looks like any other block of pages")
        if totals.faults:
            notes.append(f"{totals.faults} page headers could not be read")
        return tuple(notes)


def merged_owners(payers: Iterable[Owner]) -> tuple[Owner, ...]:
    """Make one owner of all the payers (obj_cgroups) of each cgroup."""
    merged: dict[int, Owner] = {}
    for payer in payers:
        known = merged.get(payer.cgroup_id)
        pending = payer.pending_bytes + (known.pending_bytes if known else 0)
        merged[payer.cgroup_id] = replace(payer, pending_bytes=pending)
    return tuple(merged[cgroup_id] for cgroup_id in sorted(merged))


def text(raw: bytes) -> str:
    """Decode a name that the kernel cut off with a zero byte."""
    return raw.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def memory() -> tuple[PageRange, ...]:
    """Ranges of RAM, from /proc/iomem or else from the online memory blocks.

    Raises NotPermitted when neither tells.
    """
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    try:
        ranges = ram_ranges(IOMEM.read_text(errors="replace"), page_bytes)
    except OSError:
        ranges = ()
    if not ranges:
        try:
            block_bytes = int((BLOCKS / "block_size_bytes").read_text(), 16)
            numbers = [
                int(block.name.removeprefix("memory"))
                for block in BLOCKS.glob("memory[0-9]*")
                if (block / "online").read_text().strip() == "1"
            ]
            ranges = block_ranges(numbers, block_bytes, page_bytes)
        except (OSError, ValueError):
            ranges = ()
    if not ranges:
        raise NotPermitted(
            "the kernel does not say where its RAM is",
            why="/proc/iomem shows no address and /sys/devices/system/memory is missing",
            todo=skeleton.CAPABILITIES,
        )
    return ranges
