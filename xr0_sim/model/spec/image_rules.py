"""Which size an image is brought to before it is cut into patches.

Two rules with the same limits, sides in multiples of 32 and at most 90,000 pixels (reference). They
differ only for sizes near the limit:

"fit"
    Shrinks to the limit first, then rounds. The small policies were trained with it.
"qwen"
    Rounds first, and shrinks, rounding down, when the rounded image is too large: the rule of the
    stock Qwen-VL image processor, which the released processor uses.
"""

from __future__ import annotations

import math

from xr0_sim.errors import ConfigError, unknown_name

SIDE_MULTIPLE = 32
"""Image sides are rounded to multiples of this: two by two patches of 16 px (reference)."""
MAX_PIXELS = 90_000
"""Largest image (reference)."""
IMAGE_RULES = ("fit", "qwen")


def image_size(height: int, width: int, rule: str = "fit") -> tuple[int, int]:
    """Height and width [px] that a rule gives an image."""
    if rule not in IMAGE_RULES:
        raise unknown_name("image rule", rule, IMAGE_RULES)
    return fitted_size(height, width) if rule == "fit" else qwen_size(height, width)


def fitted_size(height: int, width: int) -> tuple[int, int]:
    """Rounds sides to multiples of 32 and shrinks to at most 90,000 pixels, keeping the aspect."""
    _check(height, width)
    scale = min(1.0, (MAX_PIXELS / (height * width)) ** 0.5)
    sides = []
    for side in (height, width):
        rounded = side * scale / SIDE_MULTIPLE
        count = round(rounded) if scale == 1.0 else int(rounded)
        sides.append(max(1, count) * SIDE_MULTIPLE)
    while sides[0] * sides[1] > MAX_PIXELS:
        sides[0 if sides[0] >= sides[1] else 1] -= SIDE_MULTIPLE
    return sides[0], sides[1]


def qwen_size(height: int, width: int) -> tuple[int, int]:
    """The stock rule with a smallest image of one visual token."""
    _check(height, width)
    sides = [round(side / SIDE_MULTIPLE) * SIDE_MULTIPLE for side in (height, width)]
    if sides[0] * sides[1] > MAX_PIXELS:
        shrink = math.sqrt(height * width / MAX_PIXELS)
        sides = [
            max(SIDE_MULTIPLE, math.floor(side / shrink / SIDE_MULTIPLE) * SIDE_MULTIPLE)
            for side in (height, width)
        ]
        return sides[0], sides[1]
    if sides[0] * sides[1] < SIDE_MULTIPLE**2:
        grow = math.sqrt(SIDE_MULTIPLE**2 / (height * width))
        sides = [math.ceil(side * grow / SIDE_MULTIPLE) * SIDE_MULTIPLE for side in (height, width)]
    return sides[0], sides[1]


def _check(height: int, width: int) -> None:
    if min(height, width) < 1:
        raise ConfigError(f"image size: expected positive sides, got {height} x {width}")
