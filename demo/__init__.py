"""The demonstration: a real container leaks, and kmemscope says what it is."""
