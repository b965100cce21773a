"""Figures of merit and the statistics to compare them; definitions in the module docstrings."""

from xr0_sim.metrics.episode import episode_metrics
from xr0_sim.metrics.prefix_reliance import offset_carry, picture_follow, picture_followed
from xr0_sim.metrics.reaction import Reaction, event_reactions, reaction, summarise_reactions
from xr0_sim.metrics.statistics import (
    Interval,
    bootstrap_interval,
    ks_two_sample,
    mean_interval,
    n_to_separate,
    paired_difference,
    paired_rate_difference,
    wilson,
)
from xr0_sim.metrics.summary import Summary, markdown_table, separation_notes, summarise

__all__ = [
    "Interval",
    "Reaction",
    "Summary",
    "bootstrap_interval",
    "episode_metrics",
    "event_reactions",
    "ks_two_sample",
    "markdown_table",
    "mean_interval",
    "n_to_separate",
    "offset_carry",
    "paired_difference",
    "paired_rate_difference",
    "picture_follow",
    "picture_followed",
    "reaction",
    "separation_notes",
    "summarise",
    "summarise_reactions",
    "wilson",
]
