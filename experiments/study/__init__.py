"""Ablations as one object: from factors to rows, statistics and a report."""
