/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Where things are that no symbol tells: all slab caches by name, and the direct map.
 *
 * Objects are read at their address in the direct map, whose base the reader finds by proposing bases until each of
 * our own task's objects lies in a slab of its own cache (`check_base`).
 */
#ifndef KMEMSCOPE_PLACES_H
#define KMEMSCOPE_PLACES_H

#include "census.h"

#define CACHES_MAX 4096
#define FIND_NS 4000000
#define LOOK_STRIDE 256 /* slabs are everywhere: a look here and there meets one soon */
#define SLAB_PAGES_MAX 8
#define OWN_OBJECTS 5

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
	if (!is_flagged_slab(*(u64 *)(header + flags_offset())) &&
	    (bpf_core_enum_value_exists(enum pageflags___any, PG_slab___any) ||
	     (((struct page *)header)->page_type & slab.mask) != slab.want))
		return 0;
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

/* Whether `object` lies where an object of `cache` can lie, if the direct map starts at `base`. A global function, so
 * that it is verified once.
 */
__noinline int fits(u64 vmemmap, u64 base, u64 page_shift, u64 object, u64 cache)
{
	u64 frame = (object - base) >> (page_shift & 63), size = BPF_CORE_READ((struct kmem_cache *)cache, size);
	int good = 0;

	if (!size)
		return 0;
	for (u32 k = 0; k < SLAB_PAGES_MAX; k++) { /* the slab starts at most some pages before */
		struct slab *slab = (void *)(vmemmap + (frame - k) * PAGE_BYTES());
		u64 into_slab = object - base - ((frame - k) << (page_shift & 63));

		if ((u64)BPF_CORE_READ(slab, slab_cache) == cache && into_slab % size == 0)
			good = 1;
	}
	return good;
}

static __always_inline void check_object(struct check_base *a, void *object, u64 cache)
{
	if (!object || !cache)
		return;
	a->checked++;
	a->matched += fits(a->vmemmap, a->base, a->page_shift, (u64)object, cache);
}

SEC("syscall")
int check_base(struct check_base *a)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	a->checked = a->matched = 0;
	check_object(a, task, a->caches[0]);
	check_object(a, BPF_CORE_READ(task, mm), a->caches[1]);
	check_object(a, BPF_CORE_READ(task, files), a->caches[2]);
	check_object(a, BPF_CORE_READ(task, signal), a->caches[3]);
	check_object(a, BPF_CORE_READ(task, sighand), a->caches[4]);
	return 0;
}

#endif
