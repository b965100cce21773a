"""Faults of the signal path."""
