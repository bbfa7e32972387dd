"""kmemscope: what a container's kernel memory is, who holds it, and why it grows."""

__version__ = "0.1.0"
