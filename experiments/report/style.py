"""Words and colours of switch positions, the same in every picture."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

INK = "#1f2328"
MUTED = "#6b7280"
GRID = "#e5e7eb"
AXIS = "#c4c8ce"
EVENT = "#b91c1c"

COLOURS = {
    "sync": "#0072b2",
    "naive_async": "#d55e00",
    "prefix_async": "#009e73",
    "prefix_async:prefix": "#a3559c",
    "prefix_async:prefix_lambda": "#009e73",
}
"""By position, or by executor for its usual head; safe for colour-blind readers."""

OTHER_COLOURS = ("#56b4e9", "#b8860b", "#7f6a00", "#5b5b5b")
USUAL_HEAD = ":sync"

EXECUTOR_WORDS = {
    "sync": "sync",
    "naive_async": "naive async",
    "prefix_async": "prefix async",
}
HEAD_WORDS = {"sync": "plain head", "prefix": "prefix head", "prefix_lambda": "prefix + Λ head"}
POLICY_WORDS = {
    "oracle": "perfect planner",
    "oracle_random_speed": "perfect planner at a new speed in every chunk",
    "xr0": "trained XR-0-style policy",
}


def position_colours(positions: Sequence[str]) -> dict[str, str]:
    """Colour per switch position ``STRATEGY[:HEAD]``; unusual ones get what is left."""
    spare = itertools.cycle(OTHER_COLOURS)
    return {
        position: COLOURS.get(position.removesuffix(USUAL_HEAD)) or next(spare)
        for position in positions
    }


def position_words(position: str, separator: str = "\n") -> str:
    """``prefix_async:prefix_lambda`` as people read it."""
    executor, _, head = position.partition(":")
    words = EXECUTOR_WORDS.get(executor, executor)
    return f"{words}{separator}{HEAD_WORDS.get(head, head)}" if head else words


def text_style() -> Any:
    """Matplotlib context for pictures on a light page."""
    import matplotlib as mpl

    return mpl.rc_context(
        {
            "font.family": "DejaVu Sans",
            "font.size": 8.5,
            "text.color": INK,
            "axes.labelcolor": MUTED,
            "axes.edgecolor": AXIS,
            "xtick.color": MUTED,
            "ytick.color": MUTED,
        }
    )
