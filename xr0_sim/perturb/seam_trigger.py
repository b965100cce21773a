"""Places an event relative to an inference, with the unperturbed twin as the timetable.

Until the event both runs are identical, so the twin's log says where the inference of interest
will lie. An event in tick t is first seen by captures after t::

    tick             k    k+1   k+2   k+3   k+4   k+5
    inference        ^capture         ^arrival              d = 3, prefix k .. k+4
    after_capture    x                                      the capture just missed it
    in_prefix              ... x ...                        middle of the frozen prefix
    before_swap                 x                           last tick of the old chunk
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.perturb.triggers import AtTick

SeamOffset = Literal["after_capture", "in_prefix", "before_swap"]


def seam_trigger(
    offset: SeamOffset,
    inference: int,
    *,
    started: ArrayLike,
    d_ceil: ArrayLike,
    prefix_steps: ArrayLike,
) -> AtTick:
    """Trigger at a chosen place within an inference of the twin run.

    Args:
        offset: Which place.
        inference: Number of the inference in the twin run.
        started: (K,) tick-log column: inference captured per tick, -1 for none.
        d_ceil: (K,) tick-log column: its delay [ticks].
        prefix_steps: (K,) tick-log column: its prefix length.
    """
    if offset not in get_args(SeamOffset):
        raise unknown_name("seam offset", str(offset), get_args(SeamOffset))
    started = np.asarray(started)
    rows = np.flatnonzero(started == inference)
    if inference < 0 or len(rows) != 1:
        raise ConfigError(
            f"inference: expected one of 0..{started.max(initial=-1)} of the twin run, "
            f"got {inference}"
        )
    capture = int(rows[0])
    delay = int(np.asarray(d_ceil)[capture])
    prefix = int(np.asarray(prefix_steps)[capture])
    if offset == "in_prefix":
        if prefix < 1:
            raise ConfigError(f"seam offset 'in_prefix': inference {inference} has no prefix")
        return AtTick(capture + prefix // 2)
    if offset == "before_swap":
        return AtTick(capture + max(0, delay - 1))
    return AtTick(capture)
