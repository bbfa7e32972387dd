"""Conclusions, drawn from an Observation by pure functions: no file, no clock, no machine."""
