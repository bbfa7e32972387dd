"""The only rooms that touch the machine; each returns model values."""
