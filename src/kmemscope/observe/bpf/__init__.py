"""Loading and running BPF programs with the standard library alone; nothing outside this room knows bpf(2)."""
