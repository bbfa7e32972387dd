"""Measurements: `python -m benchmarks` prints one JSON document; nothing here is a test.

Other programs share the machine, so every figure is the least of many, with the median beside it, and things that are
compared are measured in turns. Wall time is what a user waits; CPU time is steadier where others take the CPU away.
"""
