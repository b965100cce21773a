"""Towel folding: two arms fold, unfold and spread a square towel."""
