/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * What the parts of the census share: the maps, the workers' state, and counting.
 */
#ifndef KMEMSCOPE_CENSUS_H
#define KMEMSCOPE_CENSUS_H

#include "kernel.h"

#define WORKERS 2
#define BATCH 64
#define HEADER_MAX 96	     /* the largest struct page that fits; 64 on every kernel tried */
#define TABLE_CHUNK 512	     /* owner table entries read at once */
#define GROUP 16	     /* owner table entries compared at once */
#define SLOTS 128	     /* counts a worker holds back */
#define BATCHES_A_LOOK 8     /* batches between two looks at the clock */
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
	TOP_TABLES,
	PERCPU_UNITS, /* of 4 bytes, on every CPU */
	PERCPU_OBJECTS,
	LAST_USE = PERCPU_OBJECTS,
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
	u64 rows_known;
	u64 rows[6]; /* of memcg_vmstats: KiB of stacks, pages of tables, of vmalloc; bytes of percpu and slabs */
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
	u64 table[TABLE_CHUNK + GROUP];
	struct slot slots[SLOTS];
	struct owner owner; /* scratch: too large for the stack */
	struct cache cache;
	u64 vmemmap, pfn, end, skip_to, mask, deadline;
	/* the slab being visited: objects done, owner table entries in hand, groups of them with more than one owner */
	u64 done, count, entries, stride, what, mixed;
	/* the slab of vmap_area objects being visited, its objects and the one that comes next, the area in hand */
	u64 area_slab, area_first, area_bytes, area_objects, area_object, area_table, area_pages, area_page;
	unsigned char area_header[HEADER_MAX];
	u64 paused; /* in the midst of such a slab */
	/* the percpu chunk in hand: its tables; the word of its bounds, of what is in use, their first unit; the allocation */
	u64 chunk_owners, chunk_entry_bytes, chunk_bounds, chunk_uses, chunk_units, chunk_failed;
	u64 chunk_word, chunk_used, chunk_unit, chunk_start, chunk_owner;
	/* as the reader found them */
	u64 direct_map, page_shift, area_cache, headers_end;
	/* reported */
	u64 pages, faults, unowned, races, dropped;
};

struct worker workers[WORKERS];

/* Filled in by the reader before the marking programs run, and counted in by them. */
struct marking {
	/* set by the reader; a direct_map of 0 is not known */
	u64 vmemmap, direct_map, page_shift;
	/* counted; odd_tables: top-level page tables at odd page frames, so one page each */
	u64 objects, dropped, odd_tables;
	u64 stack_pages; /* of one kernel stack */
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

/* All of kernel space on every architecture, with 4 levels of page tables or 5. */
#define KERNEL_POINTER(x) ((x) >> 56 == 0xff)

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

/* The callbacks of loops get this: whose state they work on. */
struct step {
	u32 index;
};

/* --- counting ----------------------------------------------------------------------------------------------- */

#define READ_ROW(to, kind, item)                                                                                      \
	bpf_probe_read_kernel(&o->rows[to], sizeof(u64),                                                               \
			      (void *)(state + bpf_core_enum_value(enum kind##___any, item##___any) * sizeof(long)))

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
	o->rows_known = rows_in_enum_order();
	if (o->rows_known) {
		u64 state = (u64)BPF_CORE_READ((struct mem_cgroup___vmstats *)memcg, vmstats) +
			    bpf_core_field_offset(struct memcg_vmstats, state);
		READ_ROW(0, node_stat_item, NR_KERNEL_STACK_KB);
		READ_ROW(1, node_stat_item, NR_PAGETABLE);
		READ_ROW(2, memcg_stat_item, MEMCG_VMALLOC);
		READ_ROW(3, memcg_stat_item, MEMCG_PERCPU_B);
		READ_ROW(4, node_stat_item, NR_SLAB_RECLAIMABLE_B);
		READ_ROW(5, node_stat_item, NR_SLAB_UNRECLAIMABLE_B);
	}
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
		if (key.what > LAST_USE)
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

#define HASH_FACTOR 0x9e3779b97f4a7c15ULL /* 2^64 divided by the golden ratio: close keys end up far apart */

static __always_inline void count(struct worker *w, u32 index, u64 owner, u64 what, u64 n)
{
	u32 at = (owner + 3 * what) * HASH_FACTOR >> 32 & (SLOTS - 1);
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

static long flush(u32 i, struct step *step)
{
	flush_slot(step->index, i);
	return 0;
}

#endif
