"""Ablations as one object: factors, conditions, rows, one folder, one data frame."""

from experiments.study.study import Study

__all__ = ["Study"]
