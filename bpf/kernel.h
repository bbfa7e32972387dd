/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * The few kernel structures that our programs read, and every difference between kernel versions (5.17 to 7.3).
 * Only the members that are used are declared: offsets, sizes, bit positions and enum values are filled in at load
 * time from the running kernel's own BTF (CO-RE). Where a value is a macro, and so not in BTF, it is written here
 * with the source it was read in.
 *
 * Flavours (`struct x___old`) stand for the same kernel structure at another time; the loader ignores what follows
 * the three underscores.
 */
#ifndef KMEMSCOPE_KERNEL_H
#define KMEMSCOPE_KERNEL_H

#include <stdbool.h>

#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define FROM_BTF __attribute__((preserve_access_index))

typedef __u32 u32;
typedef __u64 u64;

/* --- page headers ------------------------------------------------------------------------------------------- */

typedef struct {
	int counter;
} atomic_t;

struct page {
	unsigned int page_type;
	atomic_t _refcount;
	unsigned long private;
	void *mapping;
	unsigned long memcg_data;
} FROM_BTF;
/* page.index became __folio_index in 6.16. */
struct page___index {
	unsigned long index;
} FROM_BTF;

/* page.flags became memdesc_flags_t {.f} in 6.18. */
struct page___word {
	unsigned long flags;
} FROM_BTF;
struct memdesc {
	unsigned long f;
} FROM_BTF;
struct page___memdesc {
	struct memdesc flags;
} FROM_BTF;

/* compound_head became compound_info in 7.1; bit 0 says "tail page" in both. */
struct page___head {
	unsigned long compound_head;
} FROM_BTF;
struct page___info {
	unsigned long compound_info;
} FROM_BTF;
/* The order of a compound page: in its first tail page to 6.0, then in struct folio. */
struct page___order {
	unsigned char compound_order;
} FROM_BTF;
struct folio___order {
	unsigned char _folio_order;
} FROM_BTF;
struct folio___flags1 {
	unsigned long _flags_1;
} FROM_BTF;

enum pageflags___any { PG_head___any = 16, PG_slab___any = 9 /* to 6.9 */ };

/* Page types: values of the top byte from 6.12, bits in an enum in 6.11, macros before (see page_is_type()). */
enum pagetype___byte {
	PGTY_buddy___byte = 240,
	PGTY_table___byte = 242,
	PGTY_slab___byte = 245,
	PGTY_large_kmalloc___byte = 248,
};
enum pagetype___bits {
	PG_buddy___bits = 0x40000000,
	PG_table___bits = 0x10000000,
	PG_slab___bits = 0x02000000,
};

/* --- who pays ----------------------------------------------------------------------------------------------- */

struct kernfs_node {
	const char *name;
	u64 id;
} FROM_BTF;
/* kernfs_node.parent became __parent in 6.15. */
struct kernfs_node___old {
	struct kernfs_node *parent;
} FROM_BTF;
struct kernfs_node___new {
	struct kernfs_node *__parent;
} FROM_BTF;

struct cgroup {
	struct kernfs_node *kn;
} FROM_BTF;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	unsigned int flags;
} FROM_BTF;
/* include/linux/cgroup-defs.h, an unnamed enum: 1 << 1 in every kernel from 5.17 to 7.3. */
#define CSS_ONLINE 2

struct mem_cgroup {
	struct cgroup_subsys_state css;
} FROM_BTF;

/* The kernel's own rows for a cgroup and all below it, the ones that memory.stat prints on v2. To 6.9 `state` has a place
 * for every item of the two enums, in their order; later only for some, by a table that no type tells of.
 */
struct memcg_vmstats {
	long state[1];
} FROM_BTF;
struct mem_cgroup___vmstats {
	struct memcg_vmstats *vmstats;
} FROM_BTF;
enum node_stat_item___any {
	NR_SLAB_RECLAIMABLE_B___any = 5,
	NR_SLAB_UNRECLAIMABLE_B___any = 6,
	NR_KERNEL_STACK_KB___any = 36,
	NR_PAGETABLE___any = 37,
};
enum memcg_stat_item___any {
	MEMCG_PERCPU_B___any = 46,
	MEMCG_VMALLOC___any = 47,
	MEMCG_NR_STAT___any = 48,
};

struct obj_cgroup {
	struct mem_cgroup *memcg;
	atomic_t nr_charged_bytes;
} FROM_BTF;

/* What each CPU has charged in advance: for one obj_cgroup, later (7.1 to 7.3) for as many as this array is long. */
struct obj_stock_pcp {
	struct obj_cgroup *cached[1];
} FROM_BTF;

/* enum page_memcg_data_flags: bit 0 = the word is a slab's table of owners, bit 1 = it is the obj_cgroup that pays
 * for a kernel page (include/linux/memcontrol.h, unchanged from 5.17 to 7.3; the enum's name for bit 0 is not).
 */
#define OWNER_TABLE 1UL
#define OWNER_PAGE 2UL
#define OWNER_FLAGS 7UL

struct list_head {
	struct list_head *next, *prev;
} FROM_BTF;

/* --- slabs -------------------------------------------------------------------------------------------------- */

struct kmem_cache {
	struct list_head list; /* all caches in a ring, with the list's head in it */
	unsigned int size;
	unsigned int object_size;
	unsigned int flags; /* slab_flags_t: unsigned int; the width is adjusted by CO-RE */
	const char *name;
} FROM_BTF;

struct slab {
	struct kmem_cache *slab_cache;
	unsigned int objects : 15;
} FROM_BTF;

/* An entry of the table of owners: a bare pointer to 6.9, struct slabobj_ext from 6.10, in a union from 7.3. */
struct slabobj_ext___plain {
	struct obj_cgroup *objcg;
} FROM_BTF;
struct slabobj_ext___union {
	struct obj_cgroup *_objcg;
} FROM_BTF;
/* From 7.0 entries may lie inside the objects: slab.stride says how far apart they are; in 7.3 a bit says it. */
struct slab___stride {
	unsigned int stride;
} FROM_BTF;
struct slab___inside {
	unsigned int obj_exts_in_object : 1;
} FROM_BTF;

/* SLAB_RECLAIM_ACCOUNT: 0x20000 to 6.8 (include/linux/slab.h), a bit number in an enum from 6.9. */
enum _slab_flag_bits___any { _SLAB_RECLAIM_ACCOUNT___any = 17 };
#define SLAB_RECLAIM_ACCOUNT_TO_6_8 0x20000U

/* --- what points at pages ----------------------------------------------------------------------------------- */

struct vm_struct {
	struct page **pages;
	unsigned int nr_pages;
	void *addr;
} FROM_BTF;

struct vmap_area {
	unsigned long va_start;
	unsigned long va_end;
	struct vm_struct *vm;
} FROM_BTF;

/* A chunk of percpu memory. Its pages point at it: through page.index, later (about 6.15) through page.private. */
struct pcpu_chunk {
	struct list_head list;
	int free_bytes;
	unsigned long *alloc_map;
	unsigned long *bound_map;
	void *base_addr;
	int nr_pages;
	int nr_populated;
} FROM_BTF;
/* The owners, an entry for every 4 bytes (PCPU_MIN_ALLOC_SIZE): bare pointers to 6.9, then struct pcpuobj_ext. It is set
 * at the first unit of a charged allocation only. A bit of alloc_map is set for a unit in use, a bit of bound_map where an
 * allocation starts, or the space behind one.
 */
#define PERCPU_UNIT_BYTES 4
struct pcpu_chunk___plain {
	struct obj_cgroup **obj_cgroups;
} FROM_BTF;
struct pcpuobj_ext {
	struct obj_cgroup *cgroup;
} FROM_BTF;
struct pcpu_chunk___ext {
	struct pcpuobj_ext *obj_exts;
} FROM_BTF;

struct inode {
	unsigned short i_mode;
} FROM_BTF;
struct file {
	struct inode *f_inode;
	void *private_data;
} FROM_BTF;
#define S_IFMT 0170000
#define S_IFIFO 0010000

struct pipe_buffer {
	struct page *page;
} FROM_BTF;
struct pipe_inode_info {
	unsigned int head;
	unsigned int tail;
	unsigned int ring_size;
	struct pipe_buffer *bufs;
} FROM_BTF;
/* A page kept for the next write: one, then (6.15) an array of two. */
struct pipe_inode_info___one {
	struct page *tmp_page;
} FROM_BTF;
struct pipe_inode_info___two {
	struct page *tmp_page[2];
} FROM_BTF;

struct fdtable {
	struct file **fd;
} FROM_BTF;
struct files_struct {
	struct fdtable *fdt;
} FROM_BTF;
struct signal_struct;
struct sighand_struct;
struct mm_struct {
	void *pgd;
} FROM_BTF;
/* Only to tell x86 from others. */
struct pt_regs___x86 {
	unsigned long orig_ax;
} FROM_BTF;
struct task_struct {
	struct files_struct *files;
	struct mm_struct *mm;
	struct signal_struct *signal;
	struct sighand_struct *sighand;
} FROM_BTF;
/* Only with CONFIG_VMAP_STACK, the default of x86_64 and arm64. */
struct task_struct___vmap {
	struct vm_struct *stack_vm_area;
} FROM_BTF;

/* --- iterators ---------------------------------------------------------------------------------------------- */

struct seq_file;
struct bpf_iter_meta {
	struct seq_file *seq;
} FROM_BTF;
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} FROM_BTF;
struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	struct file *file;
} FROM_BTF;

/* --- differences between kernels ---------------------------------------------------------------------------- */

#define MAX_BLOCK_ORDER 20 /* larger than any MAX_PAGE_ORDER: a larger "order" is a torn read */

#define PAGE_BYTES() bpf_core_type_size(struct page)

/* A page type is a test `(page_type & mask) == want`. To 6.10 page types are macros: PG_buddy 0x80 and PG_table 0x200
 * are cleared bits below 0xf0000000 (include/linux/page-flags.h).
 */
struct type_test {
	u32 mask, want;
};

#define DEFINE_PAGE_TYPE(name, macro_bit)                                                                              \
	static __always_inline struct type_test is_##name(void)                                                        \
	{                                                                                                              \
		if (bpf_core_enum_value_exists(enum pagetype___byte, PGTY_##name##___byte))                            \
			return (struct type_test){                                                                     \
				0xff000000,                                                                            \
				bpf_core_enum_value(enum pagetype___byte, PGTY_##name##___byte) << 24};                \
		if (bpf_core_enum_value_exists(enum pagetype___bits, PG_##name##___bits)) {                            \
			u32 bit = bpf_core_enum_value(enum pagetype___bits, PG_##name##___bits);                       \
			return (struct type_test){0x80000000 | bit, 0x80000000};                                       \
		}                                                                                                      \
		return (struct type_test){0xf0000000 | macro_bit, 0xf0000000};                                         \
	}

DEFINE_PAGE_TYPE(buddy, 0x80)
DEFINE_PAGE_TYPE(table, 0x200)
DEFINE_PAGE_TYPE(slab, 0x1000) /* in 6.10 only; before, a slab has a page flag */

/* Only from 6.16; before, a large kmalloc looks like any other compound page. */
static __always_inline struct type_test is_large_kmalloc(void)
{
	if (bpf_core_enum_value_exists(enum pagetype___byte, PGTY_large_kmalloc___byte))
		return (struct type_test){0xff000000,
					  bpf_core_enum_value(enum pagetype___byte, PGTY_large_kmalloc___byte) << 24};
	return (struct type_test){0, 1};
}

/* The flags are the first word of a header in every kernel. The walk relies on it, and looks at nothing where it is not
 * so: there the census would find nothing, and the reader says so.
 */
#define FLAGS_OFFSET 0

/* A page that is neither typed nor mapped by a process has -1 there, in every kernel. */
#define NO_TYPE 0xffffffffU

/* To 6.9 a slab has a flag and no type. */
static __always_inline bool is_flagged_slab(u64 flags)
{
	return bpf_core_enum_value_exists(enum pageflags___any, PG_slab___any) &&
	       (flags >> bpf_core_enum_value(enum pageflags___any, PG_slab___any) & 1);
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

static __always_inline u64 owner_stride(const void *header, struct kmem_cache *cache)
{
	if (bpf_core_field_exists(struct slab___stride, stride))
		return ((const struct slab___stride *)header)->stride;
	if (bpf_core_field_exists(struct slab___inside, obj_exts_in_object) &&
	    BPF_CORE_READ_BITFIELD((const struct slab___inside *)header, obj_exts_in_object))
		return BPF_CORE_READ(cache, size);
	if (bpf_core_type_exists(struct slabobj_ext___plain))
		return bpf_core_type_size(struct slabobj_ext___plain);
	return sizeof(void *);
}

/* Whether the place of a row in memcg_vmstats.state is its enum's value: then there are as many places as values. */
static __always_inline bool rows_in_enum_order(void)
{
	return bpf_core_field_exists(struct mem_cgroup___vmstats, vmstats) &&
	       bpf_core_enum_value_exists(enum memcg_stat_item___any, MEMCG_NR_STAT___any) &&
	       bpf_core_field_size(struct memcg_vmstats, state) ==
		       bpf_core_enum_value(enum memcg_stat_item___any, MEMCG_NR_STAT___any) * sizeof(long);
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

#endif
