"""Where the kernel maps all of RAM, found without symbols.

Our own task's objects (task_struct, mm_struct, ...) have known addresses and known caches. A base proposed for the
direct map says in which page each of them lies; only the true one puts every object into a slab of its own cache, at a
multiple of that cache's object size.
"""

from __future__ import annotations

from collections.abc import Mapping

from kmemscope.observe.bpf.census_programs import CensusPrograms
from kmemscope.observe.page_headers import PageHeaders

ALIGNMENT = 1 << 30
"""The base is a multiple of 1 GiB: PUD_SIZE on x86_64 (arch/x86/mm/kaslr.c), ARM64_MEMSTART_ALIGN on arm64."""
OWN_CACHES = ("task_struct", "mm_struct", "files_cache", "signal_cache", "sighand_cache")
LEAST_MATCHES = 3


def find(
    programs: CensusPrograms, headers: PageHeaders, caches: Mapping[str, int], ram_bytes: int, page_shift: int
) -> int | None:
    """Find the base of the direct map.

    `caches` has the address of each slab cache by any of its names, `ram_bytes` is the first physical address behind
    all RAM. None when no base, or more than one, passes.
    """
    addresses = [caches.get(name, 0) for name in OWN_CACHES]
    highest = headers.own_task & ~(ALIGNMENT - 1)
    passed = []
    for base in range(highest, highest - ram_bytes - ALIGNMENT, -ALIGNMENT):
        checked, matched = programs.check_base(headers.base, base, page_shift, addresses)
        if matched == checked >= LEAST_MATCHES:
            passed.append(base)
    return passed[0] if len(passed) == 1 else None
