"""Renderings of what was said; each takes model values and gives text."""
