// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The census: which cgroup pays for every slab object and every kernel page.
 *
 * Page headers are read 64 at a time into a worker's own buffer. One branchless pass over the batch makes a bit mask
 * of the headers that matter (they carry an owner, or start a block that can be skipped); only these are visited.
 * Counts go to a small table of the worker first and to the shared result map when they are evicted or the slice
 * ends, so that a run of objects of one owner costs a comparison an object.
 *
 * What keeps the verifier fast on every kernel: steps are global functions (each verified once, not once for every
 * path that calls it) and all state lives in map values (unknown to the verifier, so loops converge at once).
 *
 * The reader's protocol: empty all maps but `caches`; set `marking`; run `mark_tasks` and `mark_pipes`; run `walk` slice
 * after slice until every range is done; run `count_chunk` for each of `chunks`; read `charges`, `owners` and `caches`.
 * Whatever did not fit is counted in `dropped`: then load again with larger maps, and take the census again.
 *
 * All functions together, programs and callbacks included, are at most 32: libbpf 1.1's loader has room for no more.
 */
#include "kernel.h"
#include "census.h"
#include "marks.h"
#include "areas.h"
#include "percpu.h"
#include "places.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* --- slabs -------------------------------------------------------------------------------------------------- */

static long read_entry(u32 i, struct step *step)
{
	struct worker *w = WORKER(step->index);
	u64 owner = 0;

	if (bpf_probe_read_kernel(&owner, sizeof(owner), (void *)(w->entries + i * w->stride)))
		w->faults++;
	w->table[i & (TABLE_CHUNK - 1)] = owner;
	return 0;
}

/* GROUP entries at once where all that are used have one owner: then their OR and their AND are that owner. */
static long count_group(u32 i, struct step *step)
{
	struct worker *w = WORKER(step->index);
	u64 first = (u64)i * GROUP, used = 0, any = 0, all = ~0ULL;

	if (first >= w->count || first > TABLE_CHUNK - GROUP)
		return 1;
	u64 *entry = &w->table[first];
#pragma unroll
	for (int j = 0; j < GROUP; j++) {
		u64 owner = entry[j] & ~OWNER_FLAGS;
		u64 is_used = NOT_ZERO(owner);

		used += is_used;
		any |= owner;
		all &= owner | (is_used - 1);
		KEEP(used);
		KEEP(any);
		KEEP(all);
	}
	if (!used)
		return 0;
	if (any == all)
		count(w, step->index, any, w->what, used);
	else
		w->mixed |= 1ULL << (i & 63);
	return 0;
}

/* The entries of the next group with more than one owner: one at a time. */
static long count_mixed(u32 i, struct step *step)
{
	struct worker *w = WORKER(step->index);
	u64 mixed = w->mixed, bit = mixed & -mixed, what = w->what;

	if (!mixed)
		return 1;
	w->mixed = mixed ^ bit;
	u64 group = bit_position[(bit * DE_BRUIJN) >> 58 & 63];
	KEEP(group); /* the compiler knows what can be in that table, the verifier wants to see the check */
	if (group >= TABLE_CHUNK / GROUP)
		return 1;
	u64 *entry = &w->table[group * GROUP];
#pragma unroll
	for (int j = 0; j < GROUP; j++) {
		u64 owner = entry[j] & ~OWNER_FLAGS;

		if (owner)
			count(w, step->index, owner, what, 1);
	}
	return 0;
}

/* Counts up to TABLE_CHUNK objects of the slab whose header is the at-th of the batch; `done` is 0 after the last. */
__noinline int count_slab(u32 index, u32 at)
{
	struct worker *w = WORKER(index);
	struct step step = {index};
	u64 offset = (u64)(at & (BATCH - 1)) * PAGE_BYTES();

	if (offset > sizeof(w->headers) - HEADER_MAX)
		return 0;
	unsigned char *header = w->headers + offset;
	u64 table = ((struct page *)header)->memcg_data & ~OWNER_FLAGS;
	u64 cache = (u64)((struct slab *)header)->slab_cache;
	u64 objects = BPF_CORE_READ_BITFIELD((struct slab *)header, objects);
	u64 done = w->done;

	w->done = 0;
	if (!table) { /* the kernel could not allocate the table: nobody pays for these objects */
		w->unowned++;
		return 0;
	}
	if (done >= objects)
		return 0;
	w->what = cache;
	w->mixed = 0;
	w->stride = owner_stride(header, (struct kmem_cache *)cache);
	w->entries = table + owner_offset() + done * w->stride;
	w->count = objects - done;
	if (w->count > TABLE_CHUNK) {
		w->count = TABLE_CHUNK;
		w->done = done + TABLE_CHUNK;
	}
	if (w->stride == sizeof(u64)) {
		u32 bytes = w->count * sizeof(u64);
		if (bytes > TABLE_CHUNK * sizeof(u64) || bpf_probe_read_kernel(w->table, bytes, (void *)w->entries)) {
			w->faults++;
			return 0;
		}
	} else {
		bpf_loop(w->count, read_entry, &step, 0);
	}
	u64 behind = w->count;
	if (behind > TABLE_CHUNK)
		return 0;
#pragma unroll
	for (int j = 0; j < GROUP - 1; j++) /* the last group is a whole one too */
		w->table[behind + j] = 0;
	bpf_loop(TABLE_CHUNK / GROUP, count_group, &step, 0);
	if (w->mixed)
		bpf_loop(TABLE_CHUNK / GROUP, count_mixed, &step, 0);
	return 0;
}

/* --- pages -------------------------------------------------------------------------------------------------- */

static __always_inline u64 page_use(u64 pfn, u32 type, u64 order)
{
	struct type_test table = is_table(), large = is_large_kmalloc();

	if ((type & table.mask) == table.want)
		return PAGETABLES;
	if ((type & large.mask) == large.want)
		return LARGE_KMALLOC;
	u64 *use = bpf_map_lookup_elem(&marks, &pfn);
	if (use)
		return *use;
	return order ? COMPOUND_PAGES : OTHER_PAGES;
}

/* With page table isolation x86 allocates top-level tables two pages at a time, to 6.13 not as a compound page but plainly
 * (_pgd_alloc(), arch/x86/mm/pgtable.c): only the first page has an owner, the second has no user of its own. Were they
 * single pages, some would be at odd frames.
 */
static __always_inline u64 top_table_order(u64 address)
{
	struct page *next = (void *)(address + PAGE_BYTES());
	struct type_test buddy = is_buddy();
	u32 zero = 0;
	struct marking *m = bpf_map_lookup_elem(&marking, &zero);

	if (!bpf_core_field_exists(struct pt_regs___x86, orig_ax) || !m || m->odd_tables)
		return 0;
	return !BPF_CORE_READ(next, _refcount.counter) && (BPF_CORE_READ(next, page_type) & buddy.mask) != buddy.want;
}

/* Looks at the first header of the mask and takes it, and all that it lets us skip, out of the mask. */
static long visit(u32 i, struct step *step)
{
	struct worker *w = WORKER(step->index);
	u64 mask = w->mask, bit = mask & -mask;

	if (!mask)
		return 1;
	u32 at = bit_position[(bit * DE_BRUIJN) >> 58 & 63] & (BATCH - 1);
	u64 offset = (u64)at * PAGE_BYTES();
	if (offset > sizeof(w->headers) - HEADER_MAX)
		return 1;
	unsigned char *header = w->headers + offset;
	u64 pfn = w->pfn + at, owner = ((struct page *)header)->memcg_data, order = 0;
	u32 type = ((struct page *)header)->page_type;
	struct type_test buddy = is_buddy();

	if ((type & buddy.mask) == buddy.want) {
		order = ((struct page *)header)->private;
		if (order > MAX_BLOCK_ORDER || pfn & ((1ULL << order) - 1)) /* torn: it was just allocated */
			order = 0;
	} else if (!is_tail(header)) {
		if ((u64)((struct slab *)header)->slab_cache == w->area_cache && !w->done) {
			take_over_areas(step->index, at);
			if (w->paused)
				return 1;
		}
		u64 flags = *(u64 *)(header + flags_offset());
		if (flags >> bpf_core_enum_value(enum pageflags___any, PG_head___any) & 1)
			order = compound_order(w->vmemmap + pfn * PAGE_BYTES());
		if (owner & OWNER_TABLE) {
			count_slab(step->index, at);
			if (w->done)
				return 0; /* more of the same slab */
		} else if (owner & OWNER_PAGE) {
			u64 use = page_use(pfn, type, order);
			if (use == TOP_TABLES && !order)
				order = top_table_order(w->vmemmap + pfn * PAGE_BYTES());
			count(w, step->index, owner & ~OWNER_FLAGS, use, 1ULL << order);
		} else if (!((struct page *)header)->mapping && type == NO_TYPE && !is_flagged_slab(flags)) {
			note_chunk_of(step->index, header);
		}
	}
	u64 next = at + (1ULL << (order & 31));
	w->skip_to = w->pfn + next;
	w->mask = next < BATCH ? mask & (~0ULL << next) : 0;
	return 0;
}

/* Both say it in bit 63, without a branch. */
#define IS_ZERO(x) ((u64)(u32)(x)-1)
#define IS_NOT_ZERO(x) (-(u64)(u32)(x))

/* Reads n headers from pfn on and marks those to visit: they carry an owner, start a block, hold vmap_area objects or
 * point at a chunk of percpu memory. Most of the time goes into this test, so it is as short as it can be and may say
 * yes too often: visit() looks closely. A pointer into the kernel is told by its highest bit.
 */
__noinline int read_batch(u32 index, u64 pfn, u32 n)
{
	struct worker *w = WORKER(index);
	struct step step = {index};
	struct type_test buddy = is_buddy();
	u32 head = 1U << bpf_core_enum_value(enum pageflags___any, PG_head___any), area_cache = w->area_cache;
	unsigned char *header = w->headers;
	u64 mask = 0;

	if (n > BATCH || flags_offset() != FLAGS_OFFSET)
		return 0;
	w->pages += n;
	w->pfn = pfn;
	w->done = 0;
	u32 bytes = n * PAGE_BYTES();
	if (bytes > sizeof(w->headers) ||
	    bpf_probe_read_kernel(w->headers, bytes, (void *)(w->vmemmap + pfn * PAGE_BYTES()))) {
		w->faults += n;
		return 0;
	}
#pragma unroll
	for (int j = 0; j < BATCH; j++) {
		u64 pointer = ((struct page *)header)->private, mapping = (u64)((struct page *)header)->mapping;
		u32 not_buddy = (((struct page *)header)->page_type & buddy.mask) ^ buddy.want;
		u32 other_cache = (u32)(u64)((struct slab *)header)->slab_cache ^ area_cache;
		u32 flags = *(u32 *)(header + FLAGS_OFFSET), owner = ((struct page *)header)->memcg_data;

		if (bpf_core_field_exists(struct page___index, index))
			pointer |= ((struct page___index *)header)->index;
		u64 found = (pointer & ~mapping) | IS_ZERO(not_buddy) | IS_ZERO(other_cache) |
			    IS_NOT_ZERO((flags & head) | (owner & (OWNER_TABLE | OWNER_PAGE)));
		mask |= found >> 63 << j;
		KEEP(mask);
		header += PAGE_BYTES();
		KEEP(header);
	}
	if (n < BATCH)
		mask &= (1ULL << n) - 1;
	w->mask = mask;
	if (mask)
		bpf_loop(VISITS_A_BATCH, visit, &step, 0);
	return 0;
}

static long next_batch(u32 i, struct step *step)
{
	struct worker *w = WORKER(step->index);
	u64 pfn = w->skip_to;

	if (pfn >= w->end)
		return 1;
	if (!(i % BATCHES_A_LOOK) && bpf_ktime_get_ns() > w->deadline)
		return 1;
	u64 n = w->end - pfn;
	if (n > BATCH)
		n = BATCH;
	w->skip_to = pfn + n;
	read_batch(step->index, pfn, n);
	if (w->paused)
		return 1;
	if (w->skip_to < pfn + n)
		w->skip_to = pfn + n;
	return 0;
}

struct walk {
	/* in; pfn is where to go on, and without an area_cache no page counts as vmalloc */
	u64 worker, vmemmap, pfn, end, budget_ns;
	u64 headers_end, direct_map, page_shift, area_cache;
	/* out */
	u64 pages, faults, unowned, races, dropped;
};

SEC("syscall")
int walk(struct walk *a)
{
	struct step step = {a->worker};
	struct worker *w = WORKER(step.index);

	w->vmemmap = a->vmemmap;
	w->skip_to = a->pfn;
	w->end = a->end;
	w->deadline = bpf_ktime_get_ns() + a->budget_ns;
	w->headers_end = a->headers_end;
	w->direct_map = a->direct_map;
	w->page_shift = a->page_shift;
	w->area_cache = a->area_cache;
	if (w->area_slab != a->pfn) /* else this goes on with a slab that was not done when its time was up */
		w->area_slab = NO_SLAB;
	w->paused = 0;
	w->pages = w->faults = w->unowned = w->races = w->dropped = 0;
	bpf_loop(BATCHES_A_SLICE, next_batch, &step, 0);
	bpf_loop(SLOTS, flush, &step, 0);
	a->pfn = w->skip_to;
	a->pages = w->pages;
	a->faults = w->faults;
	a->unowned = w->unowned;
	a->races = w->races;
	a->dropped = w->dropped;
	return 0;
}

/* --- finding the page headers, and what the kernel looks like ------------------------------------------------ */

struct probe {
	/* in */
	u64 pipe_fd;
	/* out */
	u64 page; /* header of the page that was put into the pipe */
	u64 task; /* the task that runs this */
	u64 header_bytes, header_max, stack_areas, large_kmalloc_type, stock_slots;
};

SEC("syscall")
int probe(struct probe *a)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct file **files = BPF_CORE_READ(task, files, fdt, fd), *file = 0;

	bpf_probe_read_kernel(&file, sizeof(file), &files[a->pipe_fd & 0xffff]);
	struct pipe_inode_info *pipe = BPF_CORE_READ(file, private_data);
	a->page = (u64)BPF_CORE_READ(pipe, bufs, page);
	a->task = (u64)task;
	a->header_bytes = PAGE_BYTES();
	a->header_max = HEADER_MAX;
	a->stack_areas = bpf_core_field_exists(struct task_struct___vmap, stack_vm_area);
	a->large_kmalloc_type = bpf_core_enum_value_exists(enum pagetype___byte, PGTY_large_kmalloc___byte);
	a->stock_slots = bpf_core_field_exists(struct obj_stock_pcp, cached) ?
				 bpf_core_field_size(struct obj_stock_pcp, cached) / sizeof(void *) :
				 1;
	return 0;
}
