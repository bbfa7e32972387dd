/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Percpu memory: its pages belong to nobody, but point at a chunk with a table of owners. The walk notes the chunks;
 * they are counted afterwards.
 */
#ifndef KMEMSCOPE_PERCPU_H
#define KMEMSCOPE_PERCPU_H

#include "census.h"

/* Address of a chunk of percpu memory -> number of pages that point at it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u64);
	__type(value, u64);
} chunks SEC(".maps");

#define UNIT_PAGES_MAX (1 << 14)

__noinline int note_chunk(u32 index, u64 address)
{
	struct pcpu_chunk *chunk = (void *)address;
	u64 one = 1, *pages = bpf_map_lookup_elem(&chunks, &address);
	u64 link = address + bpf_core_field_offset(struct pcpu_chunk, list);

	if (pages) {
		__sync_fetch_and_add(pages, 1);
		return 0;
	}
	/* Anything may look like a pointer. A chunk is in a list with others or the list's head, its neighbours point back
	 * at it, and its numbers fit each other; a freed object that only points at itself is none.
	 */
	struct list_head *next = BPF_CORE_READ(chunk, list.next), *prev = BPF_CORE_READ(chunk, list.prev);
	int unit_pages = BPF_CORE_READ(chunk, nr_pages), populated = BPF_CORE_READ(chunk, nr_populated);
	if (!KERNEL_POINTER((u64)next) || !KERNEL_POINTER((u64)prev) || (u64)next == link ||
	    (u64)BPF_CORE_READ(next, prev) != link || (u64)BPF_CORE_READ(prev, next) != link)
		return 0;
	if (unit_pages <= 0 || unit_pages > UNIT_PAGES_MAX || populated <= 0 || populated > unit_pages ||
	    BPF_CORE_READ(chunk, free_bytes) < 0 || !KERNEL_POINTER((u64)BPF_CORE_READ(chunk, base_addr)) ||
	    !KERNEL_POINTER((u64)BPF_CORE_READ(chunk, bound_map)))
		return 0;
	if (bpf_map_update_elem(&chunks, &address, &one, BPF_NOEXIST) && !bpf_map_lookup_elem(&chunks, &address))
		WORKER(index)->dropped++;
	return 0;
}

static __always_inline void note_chunk_of(u32 index, const void *header)
{
	u64 chunk = ((struct page *)header)->private;

	if (KERNEL_POINTER(chunk))
		note_chunk(index, chunk);
	if (!bpf_core_field_exists(struct page___index, index))
		return;
	chunk = ((struct page___index *)header)->index;
	if (KERNEL_POINTER(chunk))
		note_chunk(index, chunk);
}

#define BOUND_WORDS (TABLE_CHUNK / 2) /* words of the bounds, and of what is in use, that are read at once */
#define CHUNK_READS_MAX (1 << 10)
#define CHUNK_NS 8000000 /* it takes a fraction of a millisecond: more is a chunk that is none */

/* The allocation in hand ends before `unit`. */
__noinline int end_allocation(u32 index, u64 unit)
{
	struct worker *w = WORKER(index);

	if (w->chunk_owner && unit > w->chunk_start) {
		count(w, index, w->chunk_owner, PERCPU_UNITS, unit - w->chunk_start);
		count(w, index, w->chunk_owner, PERCPU_OBJECTS, 1);
	}
	w->chunk_owner = 0;
	return 0;
}

/* Takes the first set bit out of the word in hand: there an allocation ends, or another starts, or both. */
static long next_bound(u32 i, struct step *step)
{
	struct worker *w = WORKER(step->index);
	u64 word = w->chunk_word, bit = word & -word, owner = 0;

	if (!word)
		return 1;
	w->chunk_word = word ^ bit;
	u64 unit = w->chunk_unit + bit_position[(bit * DE_BRUIJN) >> 58 & 63];
	if (w->chunk_owner)
		end_allocation(step->index, unit);
	if (unit >= w->chunk_units)
		return 1;
	if (!(w->chunk_used & bit))
		return 0;
	if (bpf_probe_read_kernel(&owner, sizeof(owner), (void *)(w->chunk_owners + unit * w->chunk_entry_bytes)) ||
	    (owner && !KERNEL_POINTER(owner))) {
		w->chunk_failed = 1;
		return 1;
	}
	w->chunk_start = unit;
	w->chunk_owner = owner & ~OWNER_FLAGS;
	return 0;
}

/* Bounds within free space are left from allocations of before: only those count that have a unit in use at a side. */
static long next_word(u32 i, struct step *step)
{
	struct worker *w = WORKER(step->index);
	u64 used_before = w->chunk_used >> 63;

	w->chunk_used = w->table[BOUND_WORDS + (i & (BOUND_WORDS - 1))];
	w->chunk_word = w->table[i & (BOUND_WORDS - 1)] & (w->chunk_used | w->chunk_used << 1 | used_before);
	if (w->chunk_word)
		bpf_loop(64, next_bound, step, 0);
	w->chunk_unit += 64;
	return w->chunk_failed || w->chunk_unit >= w->chunk_units;
}

static long read_bounds(u32 i, struct step *step)
{
	struct worker *w = WORKER(step->index);
	u64 words = (w->chunk_units - w->chunk_unit + 63) / 64;
	u32 bytes = (words < BOUND_WORDS ? words : BOUND_WORDS) * sizeof(u64);

	if (w->chunk_failed || w->chunk_unit >= w->chunk_units)
		return 1;
	if (bytes > BOUND_WORDS * sizeof(u64) || bpf_ktime_get_ns() > w->deadline ||
	    bpf_probe_read_kernel(w->table, bytes, (void *)(w->chunk_bounds + w->chunk_unit / 8)) ||
	    bpf_probe_read_kernel(w->table + BOUND_WORDS, bytes, (void *)(w->chunk_uses + w->chunk_unit / 8))) {
		w->chunk_failed = 1;
		return 1;
	}
	bpf_loop(BOUND_WORDS, next_word, step, 0);
	return 0;
}

struct count_chunk {
	/* in; pages is how many were seen that point at it, cpus how many pages it has for each populated one */
	u64 address, page_bytes, pages, cpus;
	u64 failed, dropped; /* out */
};

/* Adds the charged allocations of one chunk to the result. */
SEC("syscall")
int count_chunk(struct count_chunk *a)
{
	struct pcpu_chunk *chunk = (void *)a->address;
	struct step step = {0};
	struct worker *w = WORKER(step.index);

	w->chunk_bounds = (u64)BPF_CORE_READ(chunk, bound_map);
	w->chunk_uses = (u64)BPF_CORE_READ(chunk, alloc_map);
	w->chunk_units = (u64)BPF_CORE_READ(chunk, nr_pages) * a->page_bytes / PERCPU_UNIT_BYTES;
	w->chunk_entry_bytes = sizeof(void *);
	if (bpf_core_field_exists(struct pcpu_chunk___ext, obj_exts)) {
		w->chunk_owners = (u64)BPF_CORE_READ((struct pcpu_chunk___ext *)chunk, obj_exts);
		w->chunk_entry_bytes = bpf_core_type_size(struct pcpuobj_ext);
	} else {
		w->chunk_owners = (u64)BPF_CORE_READ((struct pcpu_chunk___plain *)chunk, obj_cgroups);
	}
	w->chunk_unit = w->chunk_used = w->chunk_owner = w->chunk_failed = w->dropped = 0;
	w->deadline = bpf_ktime_get_ns() + CHUNK_NS;
	/* What only a few pages point at that should be many is no chunk; half of them may come or go meanwhile. */
	a->failed = a->dropped = 0;
	if (a->pages * 2 < (u64)BPF_CORE_READ(chunk, nr_populated) * a->cpus)
		return 0;
	if (w->chunk_owners) { /* else nobody pays for this chunk */
		if (bpf_core_field_exists(struct pcpu_chunk___ext, obj_exts))
			w->chunk_owners += bpf_core_field_offset(struct pcpuobj_ext, cgroup);
		bpf_loop(CHUNK_READS_MAX, read_bounds, &step, 0);
		end_allocation(step.index, w->chunk_units);
	}
	bpf_loop(SLOTS, flush, &step, 0);
	a->failed = w->chunk_failed;
	a->dropped = w->dropped;
	return 0;
}

#endif
