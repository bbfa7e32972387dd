"""BPF maps: vmalloc areas, per-CPU memory and kmalloc objects, charged to whoever made them."""

from __future__ import annotations

import ctypes
import errno
import struct
import time
from contextlib import ExitStack
from pathlib import Path

from kmemscope.model.kinds import Kind
from tests.workloads.kernel_calls import needed, older_number, system_call
from tests.workloads.workload import Workload, pages, unreclaimable

MAP_CREATE, MAP_UPDATE = 0, 2
HASH, ARRAY, PERCPU_HASH = 1, 2, 5
NO_PREALLOCATION = 1
KEY_BYTES = 4
REFILL_SECONDS = 5.0

ARRAY_VALUE_BYTES = 1_024
ARRAY_ENTRIES = 2_048
PERCPU_VALUE_BYTES = 1_024
HASH_VALUE_BYTES = 64
"""With key and header about 120 bytes, so that an element lies in the 128-byte cache."""


def bpf(command: int, attributes: bytes) -> int:
    """Make one bpf(2) call."""
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    try:
        return system_call(older_number("bpf"), command, buffer, len(attributes), what="bpf")
    except OSError as error:
        raise needed("the right to make BPF maps", error) from None


def make_map(kind: int, value_bytes: int, entries: int, flags: int = 0) -> int:
    """Descriptor of a new map with keys of four bytes."""
    return bpf(MAP_CREATE, struct.pack("5I", kind, KEY_BYTES, value_bytes, entries, flags))


def bpf_arrays(count: int, keep: ExitStack) -> int:
    """Array maps of 2 MiB."""
    for _ in range(count):
        make_map(ARRAY, ARRAY_VALUE_BYTES, ARRAY_ENTRIES)
    return count


def possible_cpus() -> int:
    """CPUs that the kernel keeps room for; the file reads `0-3` or `0`."""
    return int(Path("/sys/devices/system/cpu/possible").read_text().rpartition("-")[2]) + 1


def fill(descriptor: int, count: int, value_bytes: int) -> None:
    """Put `count` elements into a map.

    Their memory comes from a reserve that the kernel refills in the background: where it is empty, wait for it.
    """
    key = ctypes.create_string_buffer(KEY_BYTES)
    value = ctypes.create_string_buffer(value_bytes)
    attributes = struct.pack("=IIQQQ", descriptor, 0, ctypes.addressof(key), ctypes.addressof(value), 0)
    for each in range(count):
        key.raw = struct.pack("I", each)
        deadline = time.monotonic() + REFILL_SECONDS
        while True:
            try:
                bpf(MAP_UPDATE, attributes)
                break
            except OSError as error:
                if error.errno != errno.ENOMEM or time.monotonic() > deadline:
                    raise
                time.sleep(0.005)


def bpf_percpu_values(count: int, keep: ExitStack) -> int:
    """One hash map with a value for each CPU in every element.

    Not an array map, nor a hash that allocates beforehand: these make their per-CPU memory before the map has
    an owner, and the kernel charges it to the root.
    """
    fill(
        make_map(PERCPU_HASH, PERCPU_VALUE_BYTES, count, NO_PREALLOCATION),
        count,
        PERCPU_VALUE_BYTES * possible_cpus(),
    )
    return count


def bpf_hash_elements(count: int, keep: ExitStack) -> int:
    """One hash map that allocates its elements when they come."""
    fill(make_map(HASH, HASH_VALUE_BYTES, count, NO_PREALLOCATION), count, HASH_VALUE_BYTES)
    return count


WORKLOADS = (
    Workload(
        name="bpf_arrays",
        summary="BPF array maps: 2 MiB of vmalloc each",
        make=bpf_arrays,
        count=4,
        expects=(pages(Kind.VMALLOC, bytes_per_unit=ARRAY_VALUE_BYTES * ARRAY_ENTRIES),),
    ),
    Workload(
        name="bpf_percpu_values",
        summary="elements of a BPF per-CPU hash map: 1 KiB for each possible CPU each",
        make=bpf_percpu_values,
        count=2_000,
        expects=(pages(Kind.PERCPU, bytes_per_unit=PERCPU_VALUE_BYTES * possible_cpus()),),
    ),
    Workload(
        name="bpf_hash_elements",
        summary="elements of a BPF hash map: a kmalloc of 128 bytes each",
        make=bpf_hash_elements,
        count=20_000,
        expects=(unreclaimable("kmalloc-cg-128"),),
    ),
)
