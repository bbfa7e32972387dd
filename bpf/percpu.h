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

#define CHUNK_READS_MAX (1 << 14)
#define BOUND_WORDS_MAX (1 << 16)

/* Looks for the next set bit of the chunk's bounds from `chunk_end` on: there the allocation in hand ends. */
static long find_end(u32 i, struct step *step)
{
	struct worker *w = WORKER(step->index);
	u64 word = 0, end = w->chunk_end;

	if (end >= w->chunk_units)
		return 1;
	if (bpf_probe_read_kernel(&word, sizeof(word), (void *)(w->chunk_bounds + (end >> 6) * sizeof(word)))) {
		w->chunk_failed = 1;
		return 1;
	}
	word &= ~0ULL << (end & 63);
	if (word) {
		w->chunk_end = (end & ~63ULL) + bit_position[((word & -word) * DE_BRUIJN) >> 58 & 63];
		return 1;
	}
	w->chunk_end = (end | 63) + 1;
	return 0;
}

/* Counts the allocation whose owner is the i-th of the group in hand, if there is one. */
static long count_percpu(u32 i, struct step *step)
{
	struct worker *w = WORKER(step->index);
	u64 entry = w->chunk_entry + i, unit = w->chunk_unit + entry;
	u64 at = entry * w->chunk_entry_bytes + w->chunk_entry_offset;

	if (unit >= w->chunk_units || at > sizeof(w->table) - sizeof(u64))
		return 1;
	u64 owner = *(u64 *)((char *)w->table + at) & ~OWNER_FLAGS;
	if (!owner)
		return 0;
	if (!KERNEL_POINTER(owner) || bpf_ktime_get_ns() > w->deadline) {
		w->chunk_failed = 1;
		return 1;
	}
	w->chunk_end = unit + 1;
	bpf_loop(BOUND_WORDS_MAX, find_end, step, 0);
	u64 end = w->chunk_end > w->chunk_units ? w->chunk_units : w->chunk_end;
	count(w, step->index, owner, PERCPU_UNITS, end - unit);
	count(w, step->index, owner, PERCPU_OBJECTS, 1);
	return 0;
}

/* Most of a table is empty: whole groups are passed over. */
static long count_group_of_percpu(u32 i, struct step *step)
{
	struct worker *w = WORKER(step->index);
	u64 at = (u64)i * GROUP, any = 0, entries = GROUP * sizeof(u64) / (w->chunk_entry_bytes ?: 1);

	if (at > TABLE_CHUNK - GROUP)
		return 1;
	u64 *word = &w->table[at];
#pragma unroll
	for (int j = 0; j < GROUP; j++)
		any |= word[j];
	if (!any)
		return 0;
	w->chunk_entry = i * entries;
	bpf_loop(entries, count_percpu, step, 0);
	return 0;
}

static long read_owners(u32 i, struct step *step)
{
	struct worker *w = WORKER(step->index);

	w->chunk_unit = i * (sizeof(w->table) / (w->chunk_entry_bytes ?: 1));
	if (w->chunk_unit >= w->chunk_units || w->chunk_failed)
		return 1;
	if (bpf_probe_read_kernel(w->table, sizeof(w->table), (void *)(w->chunk_owners + (u64)i * sizeof(w->table)))) {
		w->chunk_failed = 1;
		return 1;
	}
	bpf_loop(TABLE_CHUNK / GROUP, count_group_of_percpu, step, 0);
	return 0;
}

#define CHUNK_NS 8000000 /* it takes one or two ms: more is a chunk that is none */

struct count_chunk {
	/* in; pages is how many were seen that point at it, cpus how many pages it has for each populated one */
	u64 address, page_bytes, pages, cpus;
	u64 failed, dropped;	 /* out */
};

/* Adds the charged allocations of one chunk to the result. */
SEC("syscall")
int count_chunk(struct count_chunk *a)
{
	struct pcpu_chunk *chunk = (void *)a->address;
	struct step step = {0};
	struct worker *w = WORKER(step.index);

	w->chunk_bounds = (u64)BPF_CORE_READ(chunk, bound_map);
	w->chunk_units = (u64)BPF_CORE_READ(chunk, nr_pages) * a->page_bytes / PERCPU_UNIT_BYTES;
	w->chunk_entry_bytes = sizeof(void *);
	w->chunk_entry_offset = 0;
	if (bpf_core_field_exists(struct pcpu_chunk___ext, obj_exts)) {
		w->chunk_owners = (u64)BPF_CORE_READ((struct pcpu_chunk___ext *)chunk, obj_exts);
		w->chunk_entry_bytes = bpf_core_type_size(struct pcpuobj_ext);
		w->chunk_entry_offset = bpf_core_field_offset(struct pcpuobj_ext, cgroup);
	} else {
		w->chunk_owners = (u64)BPF_CORE_READ((struct pcpu_chunk___plain *)chunk, obj_cgroups);
	}
	w->chunk_failed = w->dropped = 0;
	w->deadline = bpf_ktime_get_ns() + CHUNK_NS;
	/* What only a few pages point at that should be many is no chunk; half of them may come or go meanwhile. */
	a->failed = a->dropped = 0;
	if (a->pages * 2 < (u64)BPF_CORE_READ(chunk, nr_populated) * a->cpus)
		return 0;
	if (w->chunk_owners) /* else nobody pays for this chunk */
		bpf_loop(CHUNK_READS_MAX, read_owners, &step, 0);
	bpf_loop(SLOTS, flush, &step, 0);
	a->failed = w->chunk_failed;
	a->dropped = w->dropped;
	return 0;
}

#endif
