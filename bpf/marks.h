/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Pages that carry no type are told apart by what points at them: here tasks (kernel stacks) and pipes (queued data).
 */
#ifndef KMEMSCOPE_MARKS_H
#define KMEMSCOPE_MARKS_H

#include "census.h"

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

/* The top-level page table of a process: before 6.16 its page has no type. */
static __always_inline void mark_top_table(struct task_struct *task, struct marking *m)
{
	u64 table = (u64)BPF_CORE_READ(task, mm, pgd);

	if (!table || !m->direct_map)
		return;
	u64 pfn = (table - m->direct_map) >> (m->page_shift & 63);
	m->odd_tables += pfn & 1;
	mark_page(m->vmemmap + pfn * PAGE_BYTES(), TOP_TABLES);
}

SEC("iter/task")
int mark_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	u32 zero = 0;
	struct marking *m = bpf_map_lookup_elem(&marking, &zero);

	if (!task || !m)
		return 0;
	seen(ctx->meta, m);
	mark_top_table(task, m);
	if (!bpf_core_field_exists(struct task_struct___vmap, stack_vm_area))
		return 0;
	struct vm_struct *area = BPF_CORE_READ((struct task_struct___vmap *)task, stack_vm_area);
	struct page **pages = BPF_CORE_READ(area, pages), *page;
	u32 n = BPF_CORE_READ(area, nr_pages);
	if (n)
		m->stack_pages = n;
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

#endif
