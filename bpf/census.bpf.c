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
 * The reader's protocol: set `marking`; run `mark_tasks` and `mark_pipes`; run `walk` slice after slice until every range
 * is done; read and empty `charges`, `owners` and `marks`, read `caches`. Whatever did not fit is counted in `dropped`:
 * then load again with larger maps, and take the census again.
 */
#include "kernel.h"

#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define WORKERS 2
#define BATCH 64
#define HEADER_MAX 96	     /* the largest struct page that fits; 64 on every kernel tried */
#define TABLE_CHUNK 512	     /* owner table entries read at once */
#define GROUP 16	     /* owner table entries compared at once */
#define SLOTS 128	     /* counts a worker holds back */
#define BATCHES_A_LOOK 8     /* batches between two looks at the clock */
#define MAX_BLOCK_ORDER 20   /* larger than any MAX_PAGE_ORDER: a larger "order" is a torn read */
#define BATCHES_A_SLICE (1 << 20)
#define VISITS_A_BATCH (1 << 16) /* pages, and chunks of large slabs */
#define STACK_PAGES_MAX 16
#define PIPE_SLOTS_MAX (1 << 20)

/* What a charge is for: the address of a kmem_cache, or one of these. Kept in step with observe/census.py. */
enum what {
	OTHER_PAGES = 1,
	PAGETABLES,
	LARGE_KMALLOC,
	KERNEL_STACK,
	PIPE_BUFFERS,
	VMALLOC,
	COMPOUND_PAGES,
};

struct charge_key {
	u64 owner; /* struct obj_cgroup * */
	u64 what;
};

struct owner {
	u64 cgroup_id;
	u64 parent_id;
	u32 css_flags;
	u32 pending_bytes;
	char name[64];
};

struct cache {
	u32 size;
	u32 object_size;
	u32 reclaimable;
	u32 pad;
	char name[48];
};

/* The sizes of the next three are set by the reader when it loads the program, as large as the node needs. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct charge_key);
	__type(value, u64);
} charges SEC(".maps");

/* Address of an obj_cgroup -> whose it is. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u64);
	__type(value, struct owner);
} owners SEC(".maps");

/* Page frame number -> what points at it; and the address of each pipe already seen. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u64);
	__type(value, u64);
} marks SEC(".maps");

/* Address of a kmem_cache -> what it is. A kernel has a few hundred. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, struct cache);
} caches SEC(".maps");

struct slot {
	u64 owner, what, count;
};

struct worker {
	unsigned char headers[BATCH * HEADER_MAX];
	u64 table[TABLE_CHUNK];
	struct slot slots[SLOTS];
	struct owner owner; /* scratch: too large for the stack */
	struct cache cache;
	u64 vmemmap, pfn, end, skip_to, mask, deadline;
	/* the slab being visited: objects done, owner table entries in hand, groups of them with more than one owner */
	u64 done, count, entries, stride, what, mixed;
	/* reported */
	u64 pages, faults, unowned, races, dropped;
};

struct worker workers[WORKERS];

/* Filled in by the reader before the marking programs run, and counted in by them. */
struct marking {
	u64 vmemmap, objects, dropped;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct marking);
} marking SEC(".maps");

/* Position of the only bit that is set: a de Bruijn sequence, because BPF has no such instruction. */
#define DE_BRUIJN 0x03f79d71b4cb0a89ULL
const unsigned char bit_position[64] = {
	0,  1,	48, 2,	57, 49, 28, 3,	61, 58, 50, 42, 38, 29, 17, 4,	62, 55, 59, 36, 53, 51,
	43, 22, 45, 39, 33, 30, 24, 18, 12, 5,	63, 47, 56, 27, 60, 41, 37, 16, 54, 35, 52, 21,
	44, 32, 23, 11, 46, 26, 40, 15, 34, 20, 31, 10, 25, 14, 19, 9,	13, 8,	7,  6,
};

#define WORKER(index) (&workers[(index) & (WORKERS - 1)])

/* Makes the compiler finish x here: left free, it starts all steps of an unrolled loop at once and spills them. */
#define KEEP(x) asm volatile("" : "+r"(x))

/* 1 when x is not 0, without a branch; the asm keeps the compiler from finding one. */
#define NOT_ZERO(x)                                                                                                    \
	({                                                                                                             \
		u64 _x = (x);                                                                                          \
		u64 _n = -_x;                                                                                          \
		KEEP(_n);                                                                                              \
		_n |= _x;                                                                                              \
		KEEP(_n);                                                                                              \
		_n >> 63;                                                                                              \
	})

/* --- differences between kernels ---------------------------------------------------------------------------- */

#define PAGE_BYTES() bpf_core_type_size(struct page)

/* A page type is a test `(page_type & mask) == want`. To 6.10 page types are macros: PG_buddy 0x80 and PG_table 0x200
 * are cleared bits below 0xf0000000 (include/linux/page-flags.h).
 */
struct type_test {
	u32 mask, want;
};

static __always_inline struct type_test is_buddy(void)
{
	if (bpf_core_enum_value_exists(enum pagetype___byte, PGTY_buddy___byte))
		return (struct type_test){0xff000000,
					  bpf_core_enum_value(enum pagetype___byte, PGTY_buddy___byte) << 24};
	if (bpf_core_enum_value_exists(enum pagetype___bits, PG_buddy___bits)) {
		u32 bit = bpf_core_enum_value(enum pagetype___bits, PG_buddy___bits);
		return (struct type_test){0x80000000 | bit, 0x80000000};
	}
	return (struct type_test){0xf0000080, 0xf0000000};
}

static __always_inline struct type_test is_table(void)
{
	if (bpf_core_enum_value_exists(enum pagetype___byte, PGTY_table___byte))
		return (struct type_test){0xff000000,
					  bpf_core_enum_value(enum pagetype___byte, PGTY_table___byte) << 24};
	if (bpf_core_enum_value_exists(enum pagetype___bits, PG_table___bits)) {
		u32 bit = bpf_core_enum_value(enum pagetype___bits, PG_table___bits);
		return (struct type_test){0x80000000 | bit, 0x80000000};
	}
	return (struct type_test){0xf0000200, 0xf0000000};
}

/* Only from 6.16; before, a large kmalloc looks like any other compound page. */
static __always_inline struct type_test is_large_kmalloc(void)
{
	if (bpf_core_enum_value_exists(enum pagetype___byte, PGTY_large_kmalloc___byte))
		return (struct type_test){0xff000000,
					  bpf_core_enum_value(enum pagetype___byte, PGTY_large_kmalloc___byte) << 24};
	return (struct type_test){0, 1};
}

static __always_inline u64 flags_offset(void)
{
	if (bpf_core_field_exists(struct page___word, flags))
		return bpf_core_field_offset(struct page___word, flags);
	return bpf_core_field_offset(struct page___memdesc, flags.f);
}

static __always_inline bool is_tail(const void *header)
{
	if (bpf_core_field_exists(struct page___head, compound_head))
		return ((const struct page___head *)header)->compound_head & 1;
	return ((const struct page___info *)header)->compound_info & 1;
}

static __always_inline u64 compound_order(u64 address)
{
	unsigned char order = 0;

	if (bpf_core_field_exists(struct folio___order, _folio_order)) {
		bpf_probe_read_kernel(&order, 1,
				      (void *)(address + bpf_core_field_offset(struct folio___order, _folio_order)));
	} else if (bpf_core_field_exists(struct folio___flags1, _flags_1)) {
		u64 flags = 0;
		bpf_probe_read_kernel(&flags, 8,
				      (void *)(address + bpf_core_field_offset(struct folio___flags1, _flags_1)));
		order = flags & 0xff;
	} else {
		bpf_probe_read_kernel(&order, 1,
				      (void *)(address + PAGE_BYTES() +
					       bpf_core_field_offset(struct page___order, compound_order)));
	}
	return order <= MAX_BLOCK_ORDER ? order : 0;
}

static __always_inline u64 owner_stride(const void *header, u64 object_bytes)
{
	if (bpf_core_field_exists(struct slab___stride, stride))
		return ((const struct slab___stride *)header)->stride;
	if (bpf_core_field_exists(struct slab___inside, obj_exts_in_object) &&
	    BPF_CORE_READ_BITFIELD((const struct slab___inside *)header, obj_exts_in_object))
		return object_bytes;
	if (bpf_core_type_exists(struct slabobj_ext___plain))
		return bpf_core_type_size(struct slabobj_ext___plain);
	return sizeof(void *);
}

/* Where in an entry the owner stands. */
static __always_inline u64 owner_offset(void)
{
	if (bpf_core_field_exists(struct slabobj_ext___plain, objcg))
		return bpf_core_field_offset(struct slabobj_ext___plain, objcg);
	if (bpf_core_field_exists(struct slabobj_ext___union, _objcg))
		return bpf_core_field_offset(struct slabobj_ext___union, _objcg);
	return 0;
}

static __always_inline struct kernfs_node *kernfs_parent(struct kernfs_node *kn)
{
	if (bpf_core_field_exists(struct kernfs_node___old, parent))
		return BPF_CORE_READ((struct kernfs_node___old *)kn, parent);
	return BPF_CORE_READ((struct kernfs_node___new *)kn, __parent);
}

/* --- counting ----------------------------------------------------------------------------------------------- */

/* Says once for each payer which cgroup it belongs to, while it is certainly alive. */
__noinline int note_owner(u32 index, u64 objcg)
{
	struct worker *w = WORKER(index);
	struct obj_cgroup *payer = (void *)objcg;
	struct owner *o = &w->owner;

	if (bpf_map_lookup_elem(&owners, &objcg))
		return 0;
	struct mem_cgroup *memcg = BPF_CORE_READ(payer, memcg);
	struct kernfs_node *kn = BPF_CORE_READ(memcg, css.cgroup, kn);
	o->cgroup_id = BPF_CORE_READ(kn, id);
	if (!o->cgroup_id)
		w->races++;
	o->css_flags = BPF_CORE_READ(memcg, css.flags);
	o->pending_bytes = BPF_CORE_READ(payer, nr_charged_bytes.counter);
	struct kernfs_node *up = kernfs_parent(kn);
	o->parent_id = up ? BPF_CORE_READ(up, id) : 0;
	o->name[0] = 0;
	bpf_probe_read_kernel_str(o->name, sizeof(o->name), BPF_CORE_READ(kn, name));
	if (bpf_map_update_elem(&owners, &objcg, o, BPF_ANY))
		w->dropped++;
	return 0;
}

__noinline int note_cache(u32 index, u64 address)
{
	struct worker *w = WORKER(index);
	struct kmem_cache *cache = (void *)address;
	struct cache *c = &w->cache;

	if (bpf_map_lookup_elem(&caches, &address))
		return 0;
	u32 flags = BPF_CORE_READ(cache, flags);
	c->size = BPF_CORE_READ(cache, size);
	c->object_size = BPF_CORE_READ(cache, object_size);
	if (bpf_core_enum_value_exists(enum _slab_flag_bits___any, _SLAB_RECLAIM_ACCOUNT___any))
		c->reclaimable =
			(flags >> bpf_core_enum_value(enum _slab_flag_bits___any, _SLAB_RECLAIM_ACCOUNT___any)) & 1;
	else
		c->reclaimable = !!(flags & SLAB_RECLAIM_ACCOUNT_TO_6_8);
	c->pad = 0;
	c->name[0] = 0;
	bpf_probe_read_kernel_str(c->name, sizeof(c->name), BPF_CORE_READ(cache, name));
	if (bpf_map_update_elem(&caches, &address, c, BPF_ANY))
		w->dropped++;
	return 0;
}

/* Moves one held-back count into the result. */
__noinline int flush_slot(u32 index, u32 at)
{
	struct worker *w = WORKER(index);
	struct slot *s = &w->slots[at & (SLOTS - 1)];
	struct charge_key key = {.owner = s->owner, .what = s->what};
	u64 count = s->count;

	if (!count)
		return 0;
	s->count = 0;
	u64 *sum = bpf_map_lookup_elem(&charges, &key);
	if (!sum) {
		note_owner(index, key.owner);
		if (key.what > COMPOUND_PAGES)
			note_cache(index, key.what);
		if (!bpf_map_update_elem(&charges, &key, &count, BPF_NOEXIST))
			return 0;
		sum = bpf_map_lookup_elem(&charges, &key); /* the other worker was first, or the map is full */
		if (!sum) {
			w->dropped++;
			return 0;
		}
	}
	__sync_fetch_and_add(sum, count);
	return 0;
}

static __always_inline void count(struct worker *w, u32 index, u64 owner, u64 what, u64 n)
{
	u32 at = ((owner >> 6) ^ (owner >> 13) ^ (what >> 4) ^ (what >> 9)) & (SLOTS - 1);
	struct slot *s = &w->slots[at];

	if (s->owner != owner || s->what != what) {
		if (s->count)
			flush_slot(index, at);
		s->owner = owner;
		s->what = what;
		s->count = 0;
	}
	s->count += n;
}

/* --- slabs -------------------------------------------------------------------------------------------------- */

struct step {
	u32 index;
};

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
	u64 first = (u64)i * GROUP, left = w->count - first, used = 0, any = 0, all = ~0ULL;

	if (first >= w->count || first > TABLE_CHUNK - GROUP)
		return 1;
	u64 *entry = &w->table[first];
#pragma unroll
	for (int j = 0; j < GROUP; j++) {
		u64 owner = entry[j] & ~OWNER_FLAGS & -((j - left) >> 63); /* none beyond `left` */
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

/* Entries of groups with more than one owner: one at a time. */
static long count_entry(u32 i, struct step *step)
{
	struct worker *w = WORKER(step->index);

	if (i >= w->count)
		return 1;
	if (!(w->mixed >> ((i / GROUP) & 63) & 1))
		return 0;
	u64 owner = w->table[i & (TABLE_CHUNK - 1)] & ~OWNER_FLAGS;
	if (owner)
		count(w, step->index, owner, w->what, 1);
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
	w->stride = owner_stride(header, BPF_CORE_READ((struct kmem_cache *)cache, size));
	w->entries = table + owner_offset() + done * w->stride;
	w->count = objects - done;
	if (w->count > TABLE_CHUNK) {
		w->count = TABLE_CHUNK;
		w->done = done + TABLE_CHUNK;
	}
	if (w->stride == sizeof(u64)) {
		u32 bytes = w->count * sizeof(u64);
		if (bytes > sizeof(w->table) || bpf_probe_read_kernel(w->table, bytes, (void *)w->entries)) {
			w->faults++;
			return 0;
		}
	} else {
		bpf_loop(w->count, read_entry, &step, 0);
	}
	bpf_loop(TABLE_CHUNK / GROUP, count_group, &step, 0);
	if (w->mixed)
		bpf_loop(TABLE_CHUNK, count_entry, &step, 0);
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
		u64 flags = *(u64 *)(header + flags_offset());
		if (flags >> bpf_core_enum_value(enum pageflags___any, PG_head___any) & 1)
			order = compound_order(w->vmemmap + pfn * PAGE_BYTES());
		if (owner & OWNER_TABLE) {
			count_slab(step->index, at);
			if (w->done)
				return 0; /* more of the same slab */
		} else if (owner & OWNER_PAGE) {
			count(w, step->index, owner & ~OWNER_FLAGS, page_use(pfn, type, order), 1ULL << order);
		}
	}
	u64 next = at + (1ULL << (order & 31));
	w->skip_to = w->pfn + next;
	w->mask = next < BATCH ? mask & (~0ULL << next) : 0;
	return 0;
}

/* Reads n headers from pfn on and marks those to visit: they carry an owner, or start a block. */
__noinline int read_batch(u32 index, u64 pfn, u32 n)
{
	struct worker *w = WORKER(index);
	struct step step = {index};
	struct type_test buddy = is_buddy();
	u32 head = bpf_core_enum_value(enum pageflags___any, PG_head___any);
	u64 flags_at = flags_offset(), mask = 0;

	if (n > BATCH)
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
		unsigned char *header = w->headers + j * PAGE_BYTES();
		u64 not_buddy = (((struct page *)header)->page_type & buddy.mask) ^ buddy.want;
		u64 owned = ((struct page *)header)->memcg_data & (OWNER_TABLE | OWNER_PAGE);

		u64 is_head = *(u64 *)(header + flags_at) >> head & 1;

		mask |= (NOT_ZERO(owned) | (NOT_ZERO(not_buddy) ^ 1) | is_head) << j;
		KEEP(mask);
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
	if (w->skip_to < pfn + n)
		w->skip_to = pfn + n;
	return 0;
}

static long flush(u32 i, struct step *step)
{
	flush_slot(step->index, i);
	return 0;
}

struct walk {
	/* in */
	u64 worker, vmemmap, pfn, end, budget_ns;
	/* out: pfn is where to go on */
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
	u64 header_bytes, header_max, stack_areas, large_kmalloc_type;
};

SEC("syscall")
int probe(struct probe *a)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct file **files = BPF_CORE_READ(task, files, fdt, fd), *file = 0;

	bpf_probe_read_kernel(&file, sizeof(file), &files[a->pipe_fd & 0xffff]);
	struct pipe_inode_info *pipe = BPF_CORE_READ(file, private_data);
	a->page = (u64)BPF_CORE_READ(pipe, bufs, page);
	a->header_bytes = PAGE_BYTES();
	a->header_max = HEADER_MAX;
	a->stack_areas = bpf_core_field_exists(struct task_struct___vmap, stack_vm_area);
	a->large_kmalloc_type = bpf_core_enum_value_exists(enum pagetype___byte, PGTY_large_kmalloc___byte);
	return 0;
}

/* --- what points at pages ----------------------------------------------------------------------------------- */

__noinline int mark_page(u64 page, u64 use)
{
	u32 zero = 0;
	struct marking *m = bpf_map_lookup_elem(&marking, &zero);

	if (!m || page < m->vmemmap)
		return 0;
	u64 pfn = (page - m->vmemmap) / PAGE_BYTES();
	if (bpf_map_update_elem(&marks, &pfn, &use, BPF_ANY))
		m->dropped++;
	return 0;
}

/* Written for every object seen, so that one read(2) of the iterator covers a bounded number of them. */
static __always_inline void seen(struct bpf_iter_meta *meta, struct marking *m)
{
	u64 tick = 0;

	m->objects++;
	bpf_seq_write(meta->seq, &tick, sizeof(tick));
}

SEC("iter/task")
int mark_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct___vmap *task = (void *)ctx->task;
	u32 zero = 0;
	struct marking *m = bpf_map_lookup_elem(&marking, &zero);

	if (!task || !m)
		return 0;
	seen(ctx->meta, m);
	if (!bpf_core_field_exists(struct task_struct___vmap, stack_vm_area))
		return 0;
	struct vm_struct *area = BPF_CORE_READ(task, stack_vm_area);
	struct page **pages = BPF_CORE_READ(area, pages), *page;
	u32 n = BPF_CORE_READ(area, nr_pages);
	for (u32 i = 0; i < STACK_PAGES_MAX; i++) {
		if (i >= n)
			break;
		page = 0;
		bpf_probe_read_kernel(&page, sizeof(page), &pages[i]);
		if (page)
			mark_page((u64)page, KERNEL_STACK);
	}
	return 0;
}

struct ring {
	u64 bufs;
	u32 first, slots;
};

static long mark_slot(u32 i, struct ring *ring)
{
	struct page *page = 0;
	u64 slot = ring->bufs + (u64)((ring->first + i) & (ring->slots - 1)) * bpf_core_type_size(struct pipe_buffer);

	bpf_probe_read_kernel(&page, sizeof(page), (void *)(slot + bpf_core_field_offset(struct pipe_buffer, page)));
	if (page)
		mark_page((u64)page, PIPE_BUFFERS);
	return 0;
}

SEC("iter/task_file")
int mark_pipes(struct bpf_iter__task_file *ctx)
{
	struct file *file = ctx->file;
	u32 zero = 0;
	struct marking *m = bpf_map_lookup_elem(&marking, &zero);

	if (!file || !m)
		return 0;
	seen(ctx->meta, m);
	if ((BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFIFO)
		return 0;
	u64 key = (u64)BPF_CORE_READ(file, private_data), value = 0;
	if (!key || bpf_map_lookup_elem(&marks, &key))
		return 0;
	if (bpf_map_update_elem(&marks, &key, &value, BPF_ANY))
		m->dropped++;
	struct pipe_inode_info *pipe = (void *)key;
	struct ring ring = {
		.bufs = (u64)BPF_CORE_READ(pipe, bufs),
		.first = BPF_CORE_READ(pipe, tail),
		.slots = BPF_CORE_READ(pipe, ring_size),
	};
	u32 used = BPF_CORE_READ(pipe, head) - ring.first;
	if (used > ring.slots || used > PIPE_SLOTS_MAX)
		used = 0; /* torn: it is being resized */
	bpf_loop(used, mark_slot, &ring, 0);
	struct page *kept[2] = {};
	if (bpf_core_field_exists(struct pipe_inode_info___two, tmp_page) &&
	    bpf_core_field_size(struct pipe_inode_info___two, tmp_page) == sizeof(kept))
		bpf_probe_read_kernel(kept, sizeof(kept),
				      (void *)(key + bpf_core_field_offset(struct pipe_inode_info___two, tmp_page)));
	else if (bpf_core_field_exists(struct pipe_inode_info___one, tmp_page))
		kept[0] = BPF_CORE_READ((struct pipe_inode_info___one *)pipe, tmp_page);
	if (kept[0])
		mark_page((u64)kept[0], PIPE_BUFFERS);
	if (kept[1])
		mark_page((u64)kept[1], PIPE_BUFFERS);
	return 0;
}
