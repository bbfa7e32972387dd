/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * A second look at the page headers, for what the census cannot tell from a header alone: pages of vmalloc areas, found
 * through the slabs of `vmap_area` objects; and chunks of percpu memory, which their pages point at.
 *
 * Objects are read at their address in the direct map, whose base the reader finds by proposing bases until each of
 * our own task's objects lies in a slab of its own cache (`check_base`). Everything that is followed is checked first:
 * a pointer read from memory that changes meanwhile may point anywhere.
 */
#ifndef KMEMSCOPE_SCAN_H
#define KMEMSCOPE_SCAN_H

#include "census.h"
#include "marks.h"

#define CACHES_MAX 4096
#define FIND_NS 4000000
#define LOOK_STRIDE 256 /* slabs are everywhere: a look here and there meets one soon */
#define AREA_PAGES_MAX (1 << 16) /* 256 MiB: bounds the time that one area can take */
#define SLAB_PAGES_MAX 8
#define SLAB_OBJECTS_MAX 512
#define KERNEL_POINTER(x) ((x) >> 56 == 0xff) /* with page tables of 4 and of 5 levels */
#define OWN_OBJECTS 5

/* Address of a chunk of percpu memory -> number of pages that point at it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, u64);
} chunks SEC(".maps");

/* --- all caches by name ------------------------------------------------------------------------------------- */

struct list_caches {
	u64 vmemmap, pfn, end; /* in; out: pfn is where to go on */
	u64 found;	       /* out: there was a slab, and all caches are noted */
};

static long find_slab(u32 i, struct step *step)
{
	struct worker *w = WORKER(step->index);
	struct type_test slab = is_slab();
	unsigned char *header = w->headers;
	u64 pfn = w->skip_to;

	if (pfn >= w->end || bpf_ktime_get_ns() > w->deadline)
		return 1;
	w->skip_to += LOOK_STRIDE;
	if (bpf_probe_read_kernel(header, HEADER_MAX, (void *)(w->vmemmap + pfn * PAGE_BYTES())))
		return 0;
	if (bpf_core_enum_value_exists(enum pageflags___any, PG_slab___any)) {
		if (!(*(u64 *)(header + flags_offset()) >> bpf_core_enum_value(enum pageflags___any, PG_slab___any) & 1))
			return 0;
	} else if ((((struct page *)header)->page_type & slab.mask) != slab.want) {
		return 0;
	}
	w->area_cache = (u64)((struct slab *)header)->slab_cache;
	return 1;
}

struct ring_walk {
	u64 at, first;
};

static long note_next_cache(u32 i, struct ring_walk *ring)
{
	struct kmem_cache *cache = (void *)ring->at;

	note_cache(0, ring->at);
	ring->at = (u64)BPF_CORE_READ(cache, list.next) - bpf_core_field_offset(struct kmem_cache, list);
	return ring->at == ring->first || !KERNEL_POINTER(ring->at);
}

/* Notes every cache: the first slab from pfn on leads to one, and that to all others. The head of their ring is noted
 * like a cache too: a row of nonsense that no name leads to.
 */
SEC("syscall")
int list_caches(struct list_caches *a)
{
	struct step step = {0};
	struct worker *w = WORKER(0);

	w->vmemmap = a->vmemmap;
	w->skip_to = a->pfn;
	w->end = a->end;
	w->area_cache = 0;
	w->deadline = bpf_ktime_get_ns() + FIND_NS;
	bpf_loop(BATCHES_A_SLICE, find_slab, &step, 0);
	a->pfn = w->skip_to;
	a->found = !!w->area_cache;
	struct ring_walk ring = {.at = w->area_cache, .first = w->area_cache};
	if (a->found)
		bpf_loop(CACHES_MAX, note_next_cache, &ring, 0);
	return 0;
}

/* --- the direct map ----------------------------------------------------------------------------------------- */

struct check_base {
	/* in */
	u64 vmemmap, base, page_shift;
	u64 caches[OWN_OBJECTS]; /* of task_struct, mm_struct, files_struct, signal_struct, sighand_struct; or 0 */
	/* out */
	u64 checked, matched;
};

/* Whether `object` lies where an object of `cache` can lie, if the direct map starts at a->base. */
static __always_inline void check_object(struct check_base *a, u64 object, u64 cache)
{
	u64 frame = (object - a->base) >> (a->page_shift & 63), size = BPF_CORE_READ((struct kmem_cache *)cache, size);
	bool good = false;

	if (!object || !cache || !size)
		return;
	a->checked++;
	for (u32 k = 0; k < SLAB_PAGES_MAX; k++) { /* the slab starts at most some pages before */
		struct slab *slab = (void *)(a->vmemmap + (frame - k) * PAGE_BYTES());
		u64 into_slab = object - a->base - ((frame - k) << (a->page_shift & 63));

		if ((u64)BPF_CORE_READ(slab, slab_cache) == cache && into_slab % size == 0)
			good = true;
	}
	a->matched += good;
}

SEC("syscall")
int check_base(struct check_base *a)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	a->checked = a->matched = 0;
	check_object(a, (u64)task, a->caches[0]);
	check_object(a, (u64)BPF_CORE_READ(task, mm), a->caches[1]);
	check_object(a, (u64)BPF_CORE_READ(task, files), a->caches[2]);
	check_object(a, (u64)BPF_CORE_READ(task, signal), a->caches[3]);
	check_object(a, (u64)BPF_CORE_READ(task, sighand), a->caches[4]);
	return 0;
}

/* --- vmalloc areas ------------------------------------------------------------------------------------------ */

struct area_pages {
	u64 pages;
};

static long mark_area_page(u32 i, struct area_pages *area)
{
	struct page *page = 0;
	u64 use = VMALLOC;

	bpf_probe_read_kernel(&page, sizeof(page), (void *)(area->pages + (u64)i * sizeof(page)));
	if (page && BPF_CORE_READ(page, memcg_data) & OWNER_PAGE)
		mark_page_as((u64)page, use, BPF_NOEXIST); /* a stack keeps its mark */
	return 0;
}

struct object_walk {
	u64 first, size;
};

static long visit_area(u32 i, struct object_walk *objects)
{
	struct vmap_area *va = (void *)(objects->first + i * objects->size);
	struct vm_struct *vm = BPF_CORE_READ(va, vm);
	u64 start = BPF_CORE_READ(va, va_start), end = BPF_CORE_READ(va, va_end);
	unsigned char still_mapped;

	/* Free areas keep a size where used ones keep `vm`; freed objects may hold anything. */
	if (!KERNEL_POINTER((u64)vm) || (u64)BPF_CORE_READ(vm, addr) != start || end <= start)
		return 0;
	struct area_pages area = {(u64)BPF_CORE_READ(vm, pages)};
	u64 n = BPF_CORE_READ(vm, nr_pages);
	if (!area.pages || n > (end - start) >> 12 || bpf_probe_read_kernel(&still_mapped, 1, (void *)start))
		return 0;
	bpf_loop(n > AREA_PAGES_MAX ? AREA_PAGES_MAX : n, mark_area_page, &area, 0);
	return 0;
}

/* --- percpu chunks ------------------------------------------------------------------------------------------ */

__noinline int note_chunk(u64 address)
{
	struct pcpu_chunk *chunk = (void *)address;
	u64 one = 1, *pages = bpf_map_lookup_elem(&chunks, &address);
	u64 link = address + bpf_core_field_offset(struct pcpu_chunk, list);
	u32 zero = 0;

	if (pages) {
		*pages += 1;
		return 0;
	}
	/* Anything may look like a pointer. A chunk is in a list whose neighbours point back at it. */
	struct list_head *next = BPF_CORE_READ(chunk, list.next), *prev = BPF_CORE_READ(chunk, list.prev);
	if (!KERNEL_POINTER((u64)next) || !KERNEL_POINTER((u64)prev) || (u64)BPF_CORE_READ(next, prev) != link ||
	    (u64)BPF_CORE_READ(prev, next) != link || BPF_CORE_READ(chunk, nr_pages) <= 0)
		return 0;
	struct marking *m = bpf_map_lookup_elem(&marking, &zero);
	if (bpf_map_update_elem(&chunks, &address, &one, BPF_NOEXIST) && m)
		m->dropped++;
	return 0;
}

/* --- the scan ----------------------------------------------------------------------------------------------- */

static long scan_visit(u32 i, struct step *step)
{
	struct worker *w = WORKER(step->index);
	u64 mask = w->mask, bit = mask & -mask;

	if (!mask)
		return 1;
	w->mask = mask ^ bit;
	u32 at = bit_position[(bit * DE_BRUIJN) >> 58 & 63] & (BATCH - 1);
	u64 offset = (u64)at * PAGE_BYTES();
	if (offset > sizeof(w->headers) - HEADER_MAX)
		return 1;
	unsigned char *header = w->headers + offset;
	struct kmem_cache *cache = ((struct slab *)header)->slab_cache;
	if ((u64)cache == w->area_cache) {
		struct object_walk objects = {
			.first = w->direct_map + ((w->pfn + at) << (w->page_shift & 63)),
			.size = BPF_CORE_READ(cache, size),
		};
		u32 n = BPF_CORE_READ_BITFIELD((struct slab *)header, objects);
		bpf_loop(n > SLAB_OBJECTS_MAX ? SLAB_OBJECTS_MAX : n, visit_area, &objects, 0);
		return 0;
	}
	u64 chunk = ((struct page *)header)->private;
	if (KERNEL_POINTER(chunk))
		note_chunk(chunk);
	if (bpf_core_field_exists(struct page___index, index)) {
		chunk = ((struct page___index *)header)->index;
		if (KERNEL_POINTER(chunk))
			note_chunk(chunk);
	}
	return 0;
}

__noinline int scan_batch(u32 index, u64 pfn, u32 n)
{
	struct worker *w = WORKER(index);
	struct step step = {index};
	u64 mask = 0, area_cache = w->area_cache;
	u64 index_at = bpf_core_field_exists(struct page___index, index) ?
			       bpf_core_field_offset(struct page___index, index) :
			       bpf_core_field_offset(struct page, private);

	if (n > BATCH)
		return 0;
	w->pfn = pfn;
	u32 bytes = n * PAGE_BYTES();
	if (bytes > sizeof(w->headers) ||
	    bpf_probe_read_kernel(w->headers, bytes, (void *)(w->vmemmap + pfn * PAGE_BYTES())))
		return 0;
#pragma unroll
	for (int j = 0; j < BATCH; j++) {
		unsigned char *header = w->headers + j * PAGE_BYTES();
		u64 not_area = NOT_ZERO((u64)((struct slab *)header)->slab_cache ^ area_cache);
		u64 pointer = *(u64 *)(header + index_at) | ((struct page *)header)->private;
		u64 not_chunk = (pointer >> 56 ^ 0xff) | (u64)((struct page *)header)->mapping |
				((struct page *)header)->memcg_data;

		mask |= ((not_area & NOT_ZERO(not_chunk)) ^ 1) << j;
		KEEP(mask);
	}
	if (n < BATCH)
		mask &= (1ULL << n) - 1;
	w->mask = mask;
	if (mask)
		bpf_loop(BATCH + 1, scan_visit, &step, 0);
	return 0;
}

/* --- counting percpu memory ----------------------------------------------------------------------------------- */

#define CHUNK_READ 4096
#define CHUNK_READS_MAX (1 << 14)
#define BOUND_WORDS_MAX (1 << 16)

/* Looks for the next set bit of the chunk's bounds from end_unit on: there the allocation ends. */
static long find_end(u32 i, struct step *step)
{
	struct worker *w = WORKER(step->index);
	u64 word = 0, end = w->end_unit;

	if (end >= w->units)
		return 1;
	if (bpf_probe_read_kernel(&word, sizeof(word), (void *)(w->bounds + (end >> 6) * sizeof(word)))) {
		w->failed = 1;
		return 1;
	}
	word &= ~0ULL << (end & 63);
	if (word) {
		w->end_unit = (end & ~63ULL) + bit_position[((word & -word) * DE_BRUIJN) >> 58 & 63];
		return 1;
	}
	w->end_unit = (end | 63) + 1;
	return 0;
}

/* The entry that starts an allocation is the one that has an owner. */
__noinline int count_allocation(u32 index, u64 owner, u64 unit)
{
	struct worker *w = WORKER(index);
	struct step step = {index};

	w->end_unit = unit + 1;
	bpf_loop(BOUND_WORDS_MAX, find_end, &step, 0);
	u64 end = w->end_unit < w->units ? w->end_unit : w->units;
	count(w, index, owner, PERCPU_UNITS, end - unit);
	count(w, index, owner, PERCPU_OBJECTS, 1);
	return 0;
}

static long visit_entry(u32 i, struct step *step)
{
	struct worker *w = WORKER(step->index);
	u64 unit = w->first_unit + i, at = i * w->entry_bytes + w->entry_offset;

	if (unit >= w->units || at > CHUNK_READ - sizeof(u64))
		return 1;
	u64 owner = *(u64 *)((char *)w->table + at) & ~OWNER_FLAGS;
	if (owner)
		count_allocation(step->index, owner, unit);
	return 0;
}

static long read_entries(u32 i, struct step *step)
{
	struct worker *w = WORKER(step->index);
	u64 entries = CHUNK_READ / (w->entry_bytes ?: 1);

	w->first_unit = i * entries;
	if (w->first_unit >= w->units)
		return 1;
	if (bpf_probe_read_kernel(w->table, CHUNK_READ, (void *)(w->owners + (u64)i * CHUNK_READ))) {
		w->failed = 1;
		return 1;
	}
	bpf_loop(entries, visit_entry, step, 0);
	return 0;
}

struct count_chunk {
	u64 address, page_bytes; /* in */
	u64 failed, dropped;	 /* out */
};

/* Adds the charged allocations of one chunk to the result. */
SEC("syscall")
int count_chunk(struct count_chunk *a)
{
	struct pcpu_chunk *chunk = (void *)a->address;
	struct step step = {0};
	struct worker *w = WORKER(0);

	w->bounds = (u64)BPF_CORE_READ(chunk, bound_map);
	w->units = (u64)BPF_CORE_READ(chunk, nr_pages) * a->page_bytes / PERCPU_UNIT_BYTES;
	if (bpf_core_field_exists(struct pcpu_chunk___ext, obj_exts)) {
		w->owners = (u64)BPF_CORE_READ((struct pcpu_chunk___ext *)chunk, obj_exts);
		w->entry_bytes = bpf_core_type_size(struct pcpuobj_ext);
		w->entry_offset = bpf_core_field_offset(struct pcpuobj_ext, cgroup);
	} else {
		w->owners = (u64)BPF_CORE_READ((struct pcpu_chunk___plain *)chunk, obj_cgroups);
		w->entry_bytes = sizeof(void *);
		w->entry_offset = 0;
	}
	w->failed = w->dropped = 0;
	if (w->owners) /* else nobody pays for this chunk */
		bpf_loop(CHUNK_READS_MAX, read_entries, &step, 0);
	bpf_loop(SLOTS, flush, &step, 0);
	a->failed = w->failed;
	a->dropped = w->dropped;
	return 0;
}

#endif
