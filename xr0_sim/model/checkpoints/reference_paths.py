"""The two published ways to run one set of weights, as fields of `XR0Config`.

The released inference code and the post-training code share every tensor and differ in the mask
among the action tokens, in their positions and in the prefix. A path is a set of field values; our
own presets choose theirs freely.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xr0_sim.errors import unknown_name
from xr0_sim.model.action_expert.masks import PREFIX_HIDE_PROBABILITY
from xr0_sim.model.vlm.prompt import PUBLISHED_HEADER

if TYPE_CHECKING:
    from xr0_sim.model.spec.config import XR0Config

RELEASED_INFERENCE: dict[str, object] = {
    "action_window": None,
    "noisy_position_offset": 0,
    "prefix_max": 0,
    "prefix_hide_probability": 0.0,
    "num_euler_steps": 5,
    "state_layout": "raw",
    "prompt_header": PUBLISHED_HEADER,
    "image_rule": "qwen",
}
"""Public inference modelling file: plain causal mask, no offset, no prefix, 5 Euler steps."""

POST_TRAINING: dict[str, object] = RELEASED_INFERENCE | {
    "action_window": 4,
    "noisy_position_offset": 10,
    "prefix_max": 6,
    "prefix_hide_probability": PREFIX_HIDE_PROBABILITY,
}
"""Public post-training code: window 4 and offset 10 also without a prefix, prefixes of 1..6 rows,
random prefix mask in training."""

PATHS = {"released": RELEASED_INFERENCE, "post_training": POST_TRAINING}


def on_path(config: XR0Config, path: str, **overrides: object) -> XR0Config:
    """A copy of a configuration on a published path.

    Args:
        config: Sizes and everything the path leaves open.
        path: Key of `PATHS`.
        **overrides: Fields that deviate from the path, e.g. ``prefix_max=0``.
    """
    if path not in PATHS:
        raise unknown_name("reference path", path, PATHS)
    return type(config)(**(config.to_dict() | PATHS[path] | overrides))
