"""Programs that make kernel memory of one known kind and amount: witnesses for what the census names.

`python -m tests.workloads NAME [COUNT]` makes the memory, says READY and holds it until its stdin is closed.
Everything a workload makes dies with its process: what the kernel would keep longer (System V IPC, files,
mounts) is made in a namespace or a detached mount of its own. Only the standard library is used, so that the
same programs run in the smallest guest.
"""
