// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The floor: reads every page header as the census reads them, 64 at a time into a worker's own buffer and in slices,
 * and decides nothing. No census that reads every header with the same helper can take less.
 */
#include "kernel.h"

#define WORKERS 2
#define BATCH 64
#define HEADER_MAX 96
#define BATCHES_A_LOOK 8
#define BATCHES_A_SLICE (1 << 20)

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct reader {
	unsigned char headers[BATCH * HEADER_MAX];
	u64 vmemmap, pfn, end, deadline, faults;
};

struct reader readers[WORKERS];

#define READER(index) (&readers[(index) & (WORKERS - 1)])

struct step {
	u32 index;
};

__noinline int read_headers(u32 index, u64 pfn, u32 n)
{
	struct reader *r = READER(index);
	u32 bytes = n * PAGE_BYTES();

	if (n > BATCH || bytes > sizeof(r->headers) ||
	    bpf_probe_read_kernel(r->headers, bytes, (void *)(r->vmemmap + pfn * PAGE_BYTES())))
		r->faults += n;
	return 0;
}

static long next_headers(u32 i, struct step *step)
{
	struct reader *r = READER(step->index);
	u64 pfn = r->pfn;

	if (pfn >= r->end || (!(i % BATCHES_A_LOOK) && bpf_ktime_get_ns() > r->deadline))
		return 1;
	u64 n = r->end - pfn;
	if (n > BATCH)
		n = BATCH;
	r->pfn = pfn + n;
	read_headers(step->index, pfn, n);
	return 0;
}

struct read_all {
	/* in; pfn is where to go on */
	u64 worker, vmemmap, pfn, end, budget_ns;
	/* out */
	u64 faults;
};

SEC("syscall")
int read_all(struct read_all *a)
{
	struct step step = {a->worker};
	struct reader *r = READER(step.index);

	r->vmemmap = a->vmemmap;
	r->pfn = a->pfn;
	r->end = a->end;
	r->deadline = bpf_ktime_get_ns() + a->budget_ns;
	r->faults = 0;
	bpf_loop(BATCHES_A_SLICE, next_headers, &step, 0);
	a->pfn = r->pfn;
	a->faults = r->faults;
	return 0;
}
