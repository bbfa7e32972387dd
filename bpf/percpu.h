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

__noinline int note_chunk(u32 index, u64 address)
{
	struct pcpu_chunk *chunk = (void *)address;
	u64 one = 1, *pages = bpf_map_lookup_elem(&chunks, &address);
	u64 link = address + bpf_core_field_offset(struct pcpu_chunk, list);

	if (pages) {
		*pages += 1;
		return 0;
	}
	/* Anything may look like a pointer. A chunk is in a list whose neighbours point back at it. */
	struct list_head *next = BPF_CORE_READ(chunk, list.next), *prev = BPF_CORE_READ(chunk, list.prev);
	if (!KERNEL_POINTER((u64)next) || !KERNEL_POINTER((u64)prev) || (u64)BPF_CORE_READ(next, prev) != link ||
	    (u64)BPF_CORE_READ(prev, next) != link || BPF_CORE_READ(chunk, nr_pages) <= 0)
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

#define CHUNK_READ 4096
#define CHUNK_READS_MAX (1 << 14)
#define BOUND_WORDS_MAX (1 << 16)

struct chunk_walk {
	u64 owners, entry_bytes, entry_offset, bounds, units;
	u64 first; /* unit of the first entry that was read */
	u64 at;	   /* entry that the group in hand starts with */
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
	u64 unit = c->first + c->at + i, at = (c->at + i) * c->entry_bytes + c->entry_offset;

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

/* Most of a table is empty: whole groups are passed over. */
static long count_group_of_percpu(u32 i, struct chunk_walk *c)
{
	struct worker *w = WORKER(0);
	u64 at = (u64)i * GROUP, any = 0;

	if (at > TABLE_CHUNK - GROUP)
		return 1;
#pragma unroll
	for (int j = 0; j < GROUP; j++)
		any |= w->table[at + j];
	if (!any)
		return 0;
	u64 entries = GROUP * sizeof(u64) / (c->entry_bytes ?: 1);
	c->at = i * entries;
	bpf_loop(entries, count_percpu, c, 0);
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
	bpf_loop(TABLE_CHUNK / GROUP, count_group_of_percpu, c, 0);
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
