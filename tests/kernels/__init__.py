"""The kernel matrix: Debian's cloud kernels in QEMU, each running the system tests from the wheel.

`python3 -m tests.kernels` is its only door. Nothing here is imported by the product.
"""
