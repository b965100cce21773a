"""Runs the seeds of a condition over worker processes into a run folder."""
