"""Measurements: each prints JSON, none is a test."""
