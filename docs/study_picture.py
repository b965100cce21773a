"""Draws some levels of a study; with these words, the README's pictures of the methods.

::

    python docs/study_picture.py experiments/results/methods method \
        sync,naive_async,prefix_async,two_rate,roll_forward assets/pictures/methods.png \
        success bricks_per_min seam_position_mean_rad tool_jerk_m_s3 reaction_s
    python docs/study_picture.py experiments/results/methods_towel method \
        sync,naive_async,prefix_async,two_rate,roll_forward assets/pictures/methods_towel.png \
        success towels_per_min seam_position_mean_rad tool_jerk_m_s3
"""

from __future__ import annotations

import sys

from experiments.report.study_figure import study_figure
from experiments.study import Study


def main(folder: str, factor: str, levels: str, picture: str, *outcomes: str) -> None:
    """Writes the picture; latencies lie along its axes, the factor is told by colour."""
    study = Study.load(folder)
    chosen = levels.split(",")
    frame = study.frame()
    frame = frame[frame[factor].isin(chosen)]
    factors = study.factors | {factor: chosen}
    figure = study_figure(frame, factors, outcomes=outcomes or None, colour=factor)
    figure.savefig(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
