"""The programs of bpf/census.bpf.c as functions: their argument layouts, their maps, and nothing about what they mean.

Every layout here is that of the C struct of the same name.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kmemscope.observe.bpf import skeleton, syscalls

WALK = struct.Struct("=14Q")
MARKING = struct.Struct("=7Q")
CHARGE_KEY = struct.Struct("=QQ")
NUMBER = struct.Struct("=Q")
COUNT = struct.Struct("=q")
OWNER = struct.Struct("=QQIIQ6q64s")
CACHE = struct.Struct("=IIII48s")
LIST_CACHES = struct.Struct("=4Q")
COUNT_CHUNK = struct.Struct("=6Q")
CHECK_BASE = struct.Struct("=10Q")
PROBE = struct.Struct("=8Q")
SLOT_ZERO = struct.pack("=I", 0)

MAP_SIZES = {
    "charges": (CHARGE_KEY.size, NUMBER.size),
    "owners": (NUMBER.size, OWNER.size),
    "caches": (NUMBER.size, CACHE.size),
    "marks": (NUMBER.size, NUMBER.size),
    "areas": (NUMBER.size, NUMBER.size),
    "chunks": (NUMBER.size, NUMBER.size),
    "marking": (len(SLOT_ZERO), MARKING.size),
}
"""Map -> bytes of its keys and values."""
MAPS_REFUSED = "the kernel refused to read or write a BPF map"

LOOK_STRIDE = 256
NO_CACHE = 1
"""The address of no slab cache."""
SLICE_NS = 4_000_000
"""Time after which a walk returns to us: far below 10 ms, so that nothing else waits for its CPU."""
ITERATOR_BYTES = 16384
"""Objects an iterator visits in one read(2): an eighth of this."""
GROWTH = 4


@dataclass(slots=True)
class Walked:
    """What walks report; adds up over slices and workers."""

    pages: int = 0
    faults: int = 0
    unowned: int = 0
    races: int = 0
    dropped: int = 0

    def add(self, other: Walked) -> None:
        """Add another walk's figures to these."""
        self.pages += other.pages
        self.faults += other.faults
        self.unowned += other.unowned
        self.races += other.races
        self.dropped += other.dropped


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are in this kernel, as the walk needs them."""

    headers: int
    """Address of the header of page frame 0."""
    headers_end: int
    """Address behind the header of the last page frame of RAM."""
    page_shift: int
    direct_map: int = 0
    area_cache: int = 0
    """Address of the slab cache of vmap_area objects; without it and the direct map no page counts as vmalloc."""


@dataclass(frozen=True, slots=True)
class Marked:
    """What marking gave: marks that did not fit, and the pages of one kernel stack."""

    dropped: int
    stack_pages: int


@dataclass(frozen=True, slots=True)
class RawOwner:
    """An obj_cgroup's cgroup."""

    cgroup_id: int
    parent_id: int
    css_flags: int
    pending_bytes: int
    name: str
    rows: tuple[int, ...]
    """The kernel's rows: KiB of stacks, pages of tables, of vmalloc; bytes of percpu and slabs. Empty: not known."""


@dataclass(frozen=True, slots=True)
class RawCache:
    """A kmem_cache; `size` is the distance between objects in bytes."""

    size: int
    object_size: int
    reclaimable: bool
    name: str


@dataclass(frozen=True, slots=True)
class Probed:
    """What the probe program answers."""

    page: int
    task: int
    header_bytes: int
    header_max: int
    stack_areas: bool
    large_kmalloc_type: bool
    stock_slots: int


class CensusPrograms:
    """The loaded programs. Map sizes are given in entries; `grow` loads everything again with larger ones."""

    def __init__(self, entries: Mapping[str, int]) -> None:
        self._entries = dict(entries)
        self._loaded = self._load()

    def close(self) -> None:
        """Unload the programs and free the maps."""
        self._loaded.close()

    def grow(self, names: Iterable[str]) -> None:
        """Load again with larger maps. A map of maps would need no reload, but changing one stops for RCU: 10 ms."""
        for name in names:
            self._entries[name] *= GROWTH
        self._loaded.close()
        self._loaded = self._load()

    def probe(self, pipe_fd: int) -> Probed:
        """Ask for the header of the page in a pipe, and for what BTF says."""
        answer = self._run("probe", PROBE.pack(pipe_fd, 0, 0, 0, 0, 0, 0, 0))
        _, page, task, header_bytes, header_max, stack_areas, large, slots = PROBE.unpack(answer)
        return Probed(page, task, header_bytes, header_max, bool(stack_areas), bool(large), slots)

    def walk(self, worker: int, places: Places, start: int, end: int) -> Walked:
        """Count the pages from `start` up to `end` on one worker, slice by slice."""
        total, at = Walked(), start
        where = (places.headers_end, places.direct_map, places.page_shift, places.area_cache or NO_CACHE)
        while at < end:
            answer = self._run("walk", WALK.pack(worker, places.headers, at, end, SLICE_NS, *where, 0, 0, 0, 0, 0))
            at = WALK.unpack(answer)[2]
            total.add(Walked(*WALK.unpack(answer)[9:]))
        return total

    def begin(self, places: Places) -> None:
        """Forget all marks, and what a census that failed left."""
        self.charges()
        for name in ("marks", "areas", "chunks"):
            self._taken(name, NUMBER, NUMBER)
        start = MARKING.pack(places.headers, places.direct_map, places.page_shift, 0, 0, 0, 0)
        with skeleton.asking(MAPS_REFUSED):
            syscalls.map_update(self._loaded.maps["marking"], SLOT_ZERO, start)

    def mark(self) -> None:
        """Mark the pages that tasks and pipes point at."""
        for program in ("mark_tasks", "mark_pipes"):
            with skeleton.asking(f"the kernel refused to run the BPF iterator '{program}'"):
                syscalls.iter_run(self._loaded.programs[program], ITERATOR_BYTES)

    def marked(self) -> Marked:
        """What marking gave since begin()."""
        with skeleton.asking(MAPS_REFUSED):
            raw = syscalls.map_lookup(self._loaded.maps["marking"], SLOT_ZERO, MARKING.size)
        *_, dropped, _, stack_pages = MARKING.unpack(raw)
        return Marked(dropped, stack_pages or 1)

    def charges(self) -> list[tuple[int, int, int]]:
        """Take the result: (obj_cgroup, use, count), and leave none.

        A count may be negative: pages that were taken over to another use, but not met as what they look like.
        """
        return [(owner, use, count) for (owner, use), (count,) in self._taken("charges", CHARGE_KEY, COUNT)]

    def owners(self) -> dict[int, RawOwner]:
        """Take the owners by obj_cgroup, and leave none."""
        found = {}
        for (objcg,), (cgroup_id, parent_id, css_flags, pending, rows_known, *rows, name) in self._taken(
            "owners", NUMBER, OWNER
        ):
            known = tuple(rows) if rows_known else ()
            found[objcg] = RawOwner(cgroup_id, parent_id, css_flags, pending, text(name), known)
        return found

    def caches(self) -> dict[int, RawCache]:
        """Read the caches met so far by address."""
        return {
            cache: RawCache(size, object_size, bool(reclaimable), text(name))
            for (cache,), (size, object_size, reclaimable, _, name) in self._rows("caches", NUMBER, CACHE, empty=False)
        }

    def list_caches(self, headers: int, start: int, end: int) -> bool:
        """Note all slab caches, led by the first slab met between two page frames; False when none is met.

        Looks at every LOOK_STRIDE-th page from `start` on.
        """
        at, found = start, 0
        while at < end and not found:
            _, at, _, found = LIST_CACHES.unpack(self._run("list_caches", LIST_CACHES.pack(headers, at, end, 0)))
        return bool(found)

    def check_base(self, headers: int, base: int, page_shift: int, caches: Iterable[int]) -> tuple[int, int]:
        """Try a base of the direct map; gives how many of our objects were looked at, and how many fit."""
        answer = self._run("check_base", CHECK_BASE.pack(headers, base, page_shift, *caches, 0, 0))
        *_, checked, matched = CHECK_BASE.unpack(answer)
        return checked, matched

    def chunks(self) -> list[tuple[int, int]]:
        """Addresses of the percpu chunks that the walk found, and how many pages point at each."""
        return [(chunk, pages) for (chunk,), (pages,) in self._taken("chunks", NUMBER, NUMBER)]

    def count_chunk(self, address: int, page_bytes: int, pages: int, cpus: int) -> tuple[bool, int]:
        """Count one percpu chunk into the charges; gives whether all was read, and how much did not fit."""
        answer = self._run("count_chunk", COUNT_CHUNK.pack(address, page_bytes, pages, cpus, 0, 0))
        *_, failed, dropped = COUNT_CHUNK.unpack(answer)
        return not failed, dropped

    def _load(self) -> skeleton.Loaded:
        loaded = skeleton.load("census", self._entries)
        try:
            skeleton.check_sizes(loaded, MAP_SIZES)
        except BaseException:
            loaded.close()
            raise
        return loaded

    def _run(self, program: str, arguments: bytes) -> bytes:
        with skeleton.asking(f"the kernel refused to run the BPF program '{program}'"):
            return syscalls.prog_run(self._loaded.programs[program], arguments)[1]

    def _taken(self, name: str, key: struct.Struct, value: struct.Struct) -> list[tuple[syscalls.Row, syscalls.Row]]:
        return self._rows(name, key, value, empty=True)

    def _rows(
        self, name: str, key: struct.Struct, value: struct.Struct, *, empty: bool
    ) -> list[tuple[syscalls.Row, syscalls.Row]]:
        with skeleton.asking(MAPS_REFUSED):
            return list(syscalls.map_items(self._loaded.maps[name], key, value, empty=empty))


def text(raw: bytes) -> str:
    """Decode a name that the kernel ended with a zero byte."""
    return raw.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
