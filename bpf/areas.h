/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Pages of vmalloc areas look like any other page. The walk counts them as such, and takes them over to VMALLOC when it
 * meets the slab of `vmap_area` objects that leads to them: so one pass over the page headers is enough, in any order.
 *
 * Everything that is followed is checked first: a freed object may hold anything, and a pointer read from memory that
 * changes meanwhile may point anywhere. The state is the worker's, and outlives a slice: areas can be large.
 */
#ifndef KMEMSCOPE_AREAS_H
#define KMEMSCOPE_AREAS_H

#include "census.h"

#define AREA_STEPS (1 << 23) /* the most that bpf_loop() takes; the clock ends it before */
#define STEPS_A_LOOK 64
#define NO_SLAB (~0ULL)

/* First address of each area that was taken over: a freed object may still describe an area that another one has. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u64);
	__type(value, u64);
} areas SEC(".maps");

/* Reads the header of the next page of the area in hand; gives who pays for it, or 0. */
static __always_inline u64 next_area_page(struct worker *w, u64 *address)
{
	u64 page = 0, into;

	bpf_probe_read_kernel(&page, sizeof(page), (void *)(w->area_table + w->area_page * sizeof(page)));
	w->area_page++;
	into = page - w->vmemmap;
	if (page < w->vmemmap || page >= w->headers_end || into % PAGE_BYTES() || PAGE_BYTES() > sizeof(w->area_header) ||
	    bpf_probe_read_kernel(w->area_header, PAGE_BYTES(), (void *)page) || is_tail(w->area_header))
		return 0;
	*address = page;
	u64 owner = ((struct page *)w->area_header)->memcg_data;
	return owner & OWNER_PAGE ? owner & ~OWNER_FLAGS : 0;
}

/* Takes up the area of an object of the slab, if it is one that somebody pays for, and no stack. */
static __always_inline void open_area(struct worker *w, struct vmap_area *va)
{
	struct vm_struct *vm = BPF_CORE_READ(va, vm);
	u64 start = BPF_CORE_READ(va, va_start), end = BPF_CORE_READ(va, va_end), page, one = 1;
	unsigned char still_mapped;

	w->area_page = w->area_pages = 0;
	/* Free areas keep a size where used ones keep `vm`. */
	if (!KERNEL_POINTER((u64)vm) || (u64)BPF_CORE_READ(vm, addr) != start || end <= start)
		return;
	u64 n = BPF_CORE_READ(vm, nr_pages);
	w->area_table = (u64)BPF_CORE_READ(vm, pages);
	if (!w->area_table || !n || n > (end - start) >> (w->page_shift & 63) ||
	    bpf_probe_read_kernel(&still_mapped, 1, (void *)start) || !next_area_page(w, &page))
		return;
	w->area_page = 0;
	u64 pfn = (page - w->vmemmap) / PAGE_BYTES();
	if (bpf_map_lookup_elem(&marks, &pfn)) /* the pages of a stack are marked, and counted as what they are */
		return;
	if (!bpf_map_update_elem(&areas, &start, &one, BPF_NOEXIST))
		w->area_pages = n;
	else if (!bpf_map_lookup_elem(&areas, &start))
		w->dropped++;
}

/* One page of the area in hand, or the next object. */
static long area_step(u32 i, struct step *step)
{
	struct worker *w = WORKER(step->index);
	u64 page;

	if (i % STEPS_A_LOOK == STEPS_A_LOOK - 1 && bpf_ktime_get_ns() > w->deadline) {
		w->paused = 1;
		return 1;
	}
	if (w->area_page >= w->area_pages) {
		if (w->area_object >= w->area_objects)
			return 1;
		open_area(w, (void *)(w->area_first + w->area_object * w->area_bytes));
		w->area_object++;
		return 0;
	}
	u64 owner = next_area_page(w, &page);
	if (!owner)
		return 0;
	u64 flags = *(u64 *)(w->area_header + flags_offset());
	bool head = flags >> bpf_core_enum_value(enum pageflags___any, PG_head___any) & 1;
	u64 pages = 1ULL << (head ? compound_order(page) & 31 : 0);
	count(w, step->index, owner, VMALLOC, pages);
	count(w, step->index, owner, pages > 1 ? COMPOUND_PAGES : OTHER_PAGES, -pages);
	return 0;
}

/* Takes over the pages of all areas of the slab whose header is the at-th of the batch; `paused` when time is up. */
__noinline int take_over_areas(u32 index, u32 at)
{
	struct worker *w = WORKER(index);
	struct step step = {index};
	u64 offset = (u64)(at & (BATCH - 1)) * PAGE_BYTES(), pfn = w->pfn + at;

	if (offset > sizeof(w->headers) - HEADER_MAX)
		return 0;
	struct slab *slab = (void *)(w->headers + offset);
	struct kmem_cache *cache = (void *)w->area_cache;
	if (w->area_slab != pfn) { /* else it goes on where it was paused */
		w->area_slab = pfn;
		w->area_object = w->area_page = w->area_pages = 0;
		w->area_first = w->direct_map + (pfn << (w->page_shift & 63));
		w->area_bytes = BPF_CORE_READ(cache, size);
		w->area_objects = BPF_CORE_READ_BITFIELD(slab, objects);
	}
	bpf_loop(AREA_STEPS, area_step, &step, 0);
	if (w->paused)
		w->skip_to = pfn;
	else
		w->area_slab = NO_SLAB;
	return 0;
}

#endif
