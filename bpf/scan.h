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
#define AREA_PAGES_MAX (1 << 16) /* 256 MiB: bounds the time that one area can take */
#define SLAB_PAGES_MAX 8
#define SLAB_OBJECTS_MAX 512
/* The upper half of the addresses: from bit 47 on x86-64 with four levels of page tables, from bit 56 with five. */
#define NOT_KERNEL_POINTER(x) ((x) >> 56 ^ 0xff)
#define KERNEL_POINTER(x) (!NOT_KERNEL_POINTER(x))
#define OWN_OBJECTS 5

/* Address of a chunk of percpu memory -> number of pages that point at it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, u64);
} chunks SEC(".maps");

/* --- all caches by name ------------------------------------------------------------------------------------- */

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

struct list_caches {
	u64 any; /* in: the address of some cache */
};

/* Notes every cache. The head of the ring is noted like a cache too: a row of nonsense that no name leads to. */
SEC("syscall")
int list_caches(struct list_caches *a)
{
	struct ring_walk ring = {.at = a->any, .first = a->any};

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

struct scan {
	/* in */
	u64 worker, vmemmap, pfn, end, budget_ns, direct_map, page_shift, area_cache;
};

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
		u64 not_chunk = NOT_KERNEL_POINTER(pointer) | (u64)((struct page *)header)->mapping |
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

static long scan_next(u32 i, struct step *step)
{
	struct worker *w = WORKER(step->index);
	u64 pfn = w->skip_to;

	if (pfn >= w->end || (!(i % BATCHES_A_LOOK) && bpf_ktime_get_ns() > w->deadline))
		return 1;
	u64 n = w->end - pfn;
	if (n > BATCH)
		n = BATCH;
	w->skip_to = pfn + n;
	scan_batch(step->index, pfn, n);
	return 0;
}

SEC("syscall")
int scan(struct scan *a)
{
	struct step step = {a->worker};
	struct worker *w = WORKER(step.index);

	w->vmemmap = a->vmemmap;
	w->skip_to = a->pfn;
	w->end = a->end;
	w->direct_map = a->direct_map;
	w->page_shift = a->page_shift;
	w->area_cache = a->area_cache;
	w->deadline = bpf_ktime_get_ns() + a->budget_ns;
	bpf_loop(BATCHES_A_SLICE, scan_next, &step, 0);
	a->pfn = w->skip_to;
	return 0;
}

/* --- counting percpu memory ----------------------------------------------------------------------------------- */

#define CHUNK_READ 4096
#define CHUNK_READS_MAX (1 << 14)
#define BOUND_WORDS_MAX (1 << 16)

struct chunk_walk {
	u64 owners, entry_bytes, entry_offset, bounds, units;
	u64 first; /* unit of the first entry that was read */
	u64 end;   /* of the allocation in hand */
	u64 failed;
};

/* Looks for the next set bit of the chunk's bounds from `end` on: there the allocation ends. */
static long find_end(u32 i, struct chunk_walk *c)
{
	u64 word = 0;

	if (c->end >= c->units)
		return 1;
	if (bpf_probe_read_kernel(&word, sizeof(word), (void *)(c->bounds + (c->end >> 6) * sizeof(word)))) {
		c->failed = 1;
		return 1;
	}
	word &= ~0ULL << (c->end & 63);
	if (word) {
		c->end = (c->end & ~63ULL) + bit_position[((word & -word) * DE_BRUIJN) >> 58 & 63];
		return 1;
	}
	c->end = (c->end | 63) + 1;
	return 0;
}

static long count_percpu(u32 i, struct chunk_walk *c)
{
	struct worker *w = WORKER(0);
	u64 unit = c->first + i, at = i * c->entry_bytes + c->entry_offset;

	if (unit >= c->units || at > CHUNK_READ - sizeof(u64))
		return 1;
	u64 owner = *(u64 *)((char *)w->table + at) & ~OWNER_FLAGS;
	if (!owner)
		return 0;
	c->end = unit + 1;
	bpf_loop(BOUND_WORDS_MAX, find_end, c, 0);
	if (c->end > c->units)
		c->end = c->units;
	count(w, 0, owner, PERCPU_UNITS, c->end - unit);
	count(w, 0, owner, PERCPU_OBJECTS, 1);
	return 0;
}

static long read_owners(u32 i, struct chunk_walk *c)
{
	struct worker *w = WORKER(0);
	u64 entries = CHUNK_READ / (c->entry_bytes ?: 1);

	c->first = i * entries;
	if (c->first >= c->units)
		return 1;
	if (bpf_probe_read_kernel(w->table, CHUNK_READ, (void *)(c->owners + (u64)i * CHUNK_READ))) {
		c->failed = 1;
		return 1;
	}
	bpf_loop(entries, count_percpu, c, 0);
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
	struct chunk_walk c = {.entry_bytes = sizeof(void *)};

	c.bounds = (u64)BPF_CORE_READ(chunk, bound_map);
	c.units = (u64)BPF_CORE_READ(chunk, nr_pages) * a->page_bytes / PERCPU_UNIT_BYTES;
	if (bpf_core_field_exists(struct pcpu_chunk___ext, obj_exts)) {
		c.owners = (u64)BPF_CORE_READ((struct pcpu_chunk___ext *)chunk, obj_exts);
		c.entry_bytes = bpf_core_type_size(struct pcpuobj_ext);
		c.entry_offset = bpf_core_field_offset(struct pcpuobj_ext, cgroup);
	} else {
		c.owners = (u64)BPF_CORE_READ((struct pcpu_chunk___plain *)chunk, obj_cgroups);
	}
	w->dropped = 0;
	if (c.owners) /* else nobody pays for this chunk */
		bpf_loop(CHUNK_READS_MAX, read_owners, &c, 0);
	bpf_loop(SLOTS, flush, &step, 0);
	a->failed = c.failed;
	a->dropped = w->dropped;
	return 0;
}

#endif
