"""Takes the census: runs the programs of bpf/census.bpf.c in order and turns what they counted into a Census.

Knows what the numbers stand for. Does not know how they reach us (observe/bpf) nor what they mean for a target.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from kmemscope.model.census import Census, Charge, Owner, SlabCache
from kmemscope.model.errors import KernelUnsupported, NotPermitted
from kmemscope.model.kinds import Kind
from kmemscope.observe import direct_map, page_headers, workers
from kmemscope.observe.bpf.census_programs import LOOK_STRIDE, CensusPrograms, Places, RawCache, RawOwner, Walked
from kmemscope.observe.bpf.skeleton import CAPABILITIES
from kmemscope.observe.host import count_cpus
from kmemscope.observe.hostfs import HostFs
from kmemscope.observe.memory_ranges import PageRange, block_ranges, pieces, ram_ranges
from kmemscope.observe.slab_names import merged_names

PAGE_USES: dict[int, tuple[Kind, str | None]] = {
    1: (Kind.OTHER_PAGES, None),
    2: (Kind.PAGETABLES, None),
    3: (Kind.SLAB_UNRECLAIMABLE, "large kmalloc"),
    4: (Kind.KERNEL_STACK, None),
    5: (Kind.PIPE_BUFFERS, None),
    6: (Kind.VMALLOC, None),
    7: (Kind.OTHER_PAGES, "blocks of pages (large kmalloc, io_uring rings)"),
    8: (Kind.OTHER_PAGES, "page tables, top level"),
}
"""enum what of bpf/census.h; a number larger than the two below is the address of a slab cache."""
PERCPU_UNITS = 9
PERCPU_OBJECTS = 10
PERCPU_UNIT_BYTES = 4
"""PCPU_MIN_ALLOC_SIZE, include/linux/percpu.h."""
ENTRIES = {
    "charges": (1 << 14, 32),
    "owners": (1 << 12, 2),
    "marks": (1 << 15, 64),
    "areas": (1 << 13, 8),
    "chunks": (1 << 10, 1),
}
"""Sizes of the result maps to begin with: the least, and how many more for each cgroup."""
ROUNDS = 6
PIECE_PAGES = 1 << 17
"""Small enough that two workers end at about the same time: half a GiB, about a millisecond."""
OWNER_POINTER_BYTES = 8
"""Charged with every slab object for its entry in the owner table: obj_full_size(), mm/memcontrol.c, 5.9 to 7.3."""
CSS_ONLINE = 2
AREA_CACHE = "vmap_area"
KERNEL_ROWS = (
    Kind.KERNEL_STACK,
    Kind.PAGETABLES,
    Kind.VMALLOC,
    Kind.PERCPU,
    Kind.SLAB_RECLAIMABLE,
    Kind.SLAB_UNRECLAIMABLE,
)
"""struct owner.rows of bpf/census.h."""
INIT_PID_NAMESPACE = Path("pid:[4026531836]")
"""PROC_PID_INIT_INO, include/linux/proc_ns.h."""
PID_NAMESPACE = Path("/proc/self/ns/pid")
IOMEM = Path("/proc/iomem")
BLOCKS = Path("/sys/devices/system/memory")
MEMINFO = Path("/proc/meminfo")

SumKey = tuple[int, Kind, str | None, str | None]
Sums = dict[SumKey, list[int]]


class CensusTaker:
    """Loads the programs once and takes any number of censuses with them."""

    def __init__(self, programs: CensusPrograms, ranges: Sequence[PageRange], cpus: int) -> None:
        self._programs = programs
        self._headers = page_headers.find(programs)
        self._pieces = pieces(ranges, PIECE_PAGES)
        self._end_of_ram = ranges[-1].end
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")
        self._cpus = cpus
        self._names: Mapping[str, tuple[str, ...]] = merged_names()
        self._places = Places(
            headers=self._headers.base,
            headers_end=self._headers.base + self._end_of_ram * self._headers.header_bytes,
            page_shift=self._page_bytes.bit_length() - 1,
        )
        self._places_found = False

    @classmethod
    def open(cls, cgroups: int = 0) -> Self:
        """Load the programs, find the page headers and the ranges of RAM.

        `cgroups` is about how many there are, so that the result fits at the first try. Raises NotPermitted or
        KernelUnsupported, with the reason and the remedy.
        """
        ranges = memory()
        programs = CensusPrograms({name: max(least, each * cgroups) for name, (least, each) in ENTRIES.items()})
        try:
            return cls(programs, ranges, possible_cpus())
        except BaseException:
            programs.close()
            raise

    def close(self) -> None:
        """Unload the programs."""
        self._programs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def take(self, witness: Callable[[], None] = lambda: None) -> Census:
        """Visit all page headers and say who pays for what.

        `witness` is called right before and right after the count, to read other counters of the same moment. Takes
        about 8 ns a page and 10 ns a charged object, on up to two CPUs. Raises KernelUnsupported when the result
        does not fit into maps of any size the kernel gives us.
        """
        for _ in range(ROUNDS):
            started = time.perf_counter()
            self.mark()
            marked = self._programs.marked()
            witness()
            walked = self.walk()
            unread = self._count_percpu(walked)
            witness()
            if not marked.dropped and not walked.dropped:
                return self._result(walked, unread, marked.stack_pages, started)
            self._programs.grow(("marks",) if marked.dropped else ("charges", "owners", "areas", "chunks"))
        raise KernelUnsupported(
            "the census did not fit into any map that this kernel allows",
            why=f"{walked.dropped} counts and {marked.dropped} marks were dropped in the last of {ROUNDS} rounds",
        )

    def mark(self) -> None:
        """Mark what tasks and pipes point at, with no marks left of before."""
        self._programs.begin(self.places())
        self._programs.mark()

    def walk(self, count: int = workers.WORKERS) -> Walked:
        """Count everything on `count` workers; the result stays in the maps."""
        total = [Walked() for _ in range(count)]

        def work(worker: int, piece: PageRange) -> None:
            total[worker].add(self._programs.walk(worker, self._places, piece.start, piece.end))

        workers.share(self._pieces, work, count)
        for each in total[1:]:
            total[0].add(each)
        return total[0]

    def places(self) -> Places:
        """Where things are in this kernel, found at the first call."""
        if not self._places_found:
            self._places, self._places_found = self._find_places(), True
        return self._places

    def _find_places(self) -> Places:
        """Find the direct map and the cache of vmap_area objects, once; without them no page counts as vmalloc."""
        places = self._places
        any(
            self._programs.list_caches(places.headers, piece.start + offset, piece.end)
            for offset in range(LOOK_STRIDE)
            for piece in self._pieces
        )
        addresses: dict[str, int] = {}
        for address, cache in self._programs.caches().items():
            for name in self._names.get(cache.name, (cache.name,)):
                addresses[name] = address
        ram_bytes = self._end_of_ram << places.page_shift
        base = direct_map.find(self._programs, self._headers, addresses, ram_bytes, places.page_shift)
        if base is None or AREA_CACHE not in addresses:
            return places
        return replace(places, direct_map=base, area_cache=addresses[AREA_CACHE])

    def _result(self, walked: Walked, percpu_unread: int, stack_pages: int, started: float) -> Census:
        sums: Sums = defaultdict(lambda: [0, 0])
        caches = self._programs.caches()
        owners = self._programs.owners()
        self._add_charges(sums, owners, caches)
        settle(sums)
        for (_, kind, _, _), entry in sums.items():
            if kind is Kind.KERNEL_STACK:  # counted in pages until here
                entry[0] //= stack_pages
        return Census(
            charges=tuple(Charge(*key, *entry) for key, entry in sorted(sums.items(), key=order)),
            caches=self._slab_caches(caches.values(), {cache for _, _, cache, _ in sums}),
            owners=merged_owners(owners.values()),
            pages=walked.pages,
            faults=walked.faults,
            unowned_slabs=walked.unowned,
            races=walked.races,
            percpu_unread_bytes=percpu_unread,
            stock_slots=self._headers.stock_slots,
            seconds=time.perf_counter() - started,
            notes=self._notes(walked, percpu_unread),
        )

    def _add_charges(self, sums: Sums, owners: Mapping[int, RawOwner], caches: Mapping[int, RawCache]) -> None:
        for objcg, use, count in self._programs.charges():
            cgroup_id = owners[objcg].cgroup_id if objcg in owners else 0
            if use in PAGE_USES:
                kind, what = PAGE_USES[use]
                entry = sums[cgroup_id, kind, None, what]
                entry[1] += count * self._page_bytes
            elif use == PERCPU_UNITS:
                sums[cgroup_id, Kind.PERCPU, None, None][1] += self._percpu_bytes(count)
                continue
            elif use == PERCPU_OBJECTS:
                entry = sums[cgroup_id, Kind.PERCPU, None, None]
            else:
                cache = caches[use]
                kind = Kind.SLAB_RECLAIMABLE if cache.reclaimable else Kind.SLAB_UNRECLAIMABLE
                entry = sums[cgroup_id, kind, cache.name, None]
                entry[1] += count * (cache.size + OWNER_POINTER_BYTES)
            entry[0] += count

    def _count_percpu(self, walked: Walked) -> int:
        """Count percpu memory; gives the bytes of it on this node when some could not be read, else 0."""
        chunks = self._programs.chunks()
        complete = bool(chunks)
        for address, pages in chunks:
            good, dropped = self._programs.count_chunk(address, self._page_bytes, pages, self._cpus)
            complete &= good
            walked.dropped += dropped
        return 0 if complete else percpu_of_node()

    def _percpu_bytes(self, units: int) -> int:
        """Bytes charged for percpu memory: a copy for every CPU and the owner entries (pcpu_obj_full_size())."""
        return units * (PERCPU_UNIT_BYTES * self._cpus + OWNER_POINTER_BYTES)

    def _slab_caches(self, caches: Iterable[RawCache], used: set[str | None]) -> tuple[SlabCache, ...]:
        found = {
            SlabCache(cache.name, self._names.get(cache.name, (cache.name,)), cache.size, cache.reclaimable)
            for cache in caches
            if cache.name in used
        }
        return tuple(sorted(found, key=lambda cache: cache.name))

    def _notes(self, walked: Walked, percpu_unread: int) -> tuple[str, ...]:
        notes = []
        if PID_NAMESPACE.readlink() != INIT_PID_NAMESPACE:
            notes.append(
                "tasks and pipes of other pid namespaces were not seen, so their stacks count as vmalloc and their"
                " pipes' data as other pages: run in the host's pid namespace"
            )
        if not self._headers.stack_areas:
            notes.append("this kernel's stacks are not vmalloc areas, so they count as other pages")
        if not self._headers.large_kmalloc_type:
            notes.append("before kernel 6.16 a large kmalloc looks like any other block of pages")
        if not self._places.area_cache:
            notes.append("the direct map was not found, so vmalloc counts as other pages")
        if percpu_unread:
            notes.append("percpu memory could not be read")
        if walked.faults:
            notes.append(f"{walked.faults} page headers or owner tables could not be read")
        return tuple(notes)


def order(row: tuple[SumKey, list[int]]) -> tuple[int, str, str, str]:
    """Tell the place of a charge among others, so that equal censuses look equal."""
    cgroup_id, kind, cache, what = row[0]
    return cgroup_id, kind.value, cache or "", what or ""


def settle(sums: Sums) -> None:
    """Drop the rows of which nothing is left once the pages of vmalloc areas were taken over from them.

    Less than nothing is left when areas were made during the walk: then some of their pages had not been counted.
    """
    for cgroup_id, kind, cache, what in [key for key, (pages, _) in sums.items() if pages <= 0]:
        pages, amount = sums.pop((cgroup_id, kind, cache, what))
        if pages:
            vmalloc = sums[cgroup_id, Kind.VMALLOC, None, None]
            vmalloc[0] += pages
            vmalloc[1] += amount


def merged_owners(payers: Iterable[RawOwner]) -> tuple[Owner, ...]:
    """Make one owner of all the payers (obj_cgroups) of each cgroup."""
    merged: dict[int, Owner] = {}
    for payer in payers:
        owner = Owner(
            payer.cgroup_id,
            payer.name,
            payer.parent_id or None,
            bool(payer.css_flags & CSS_ONLINE),
            payer.pending_bytes,
            kernel_rows(payer.rows),
        )
        known = merged.get(payer.cgroup_id)
        pending = owner.pending_bytes + (known.pending_bytes if known else 0)
        merged[payer.cgroup_id] = replace(owner, pending_bytes=pending)
    return tuple(merged[cgroup_id] for cgroup_id in sorted(merged))


def kernel_rows(rows: tuple[int, ...]) -> dict[Kind, int]:
    """Bytes by kind of the kernel's own rows."""
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    units = (1024, page_bytes, page_bytes, 1, 1, 1)
    return {kind: row * unit for kind, row, unit in zip(KERNEL_ROWS, rows, units, strict=False)}


def possible_cpus() -> int:
    """Number of CPUs that this kernel keeps per-CPU memory for."""
    return count_cpus(HostFs().read("/sys/devices/system/cpu/possible", 1 << 16)) or os.cpu_count() or 1


def percpu_of_node() -> int:
    """All percpu memory of the node in bytes (the row Percpu of /proc/meminfo)."""
    for line in MEMINFO.read_text().splitlines():
        if line.startswith("Percpu:"):
            return int(line.split()[1]) * 1024
    return 0


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
            todo=CAPABILITIES,
        )
    return ranges
