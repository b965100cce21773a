"""The one shaping function of all reward terms."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def tolerance(
    value: ArrayLike, bound: float, margin: float, at_margin: float = 0.1
) -> NDArray[np.float64]:
    """1 where ``|value| <= bound``, then a Gaussian that is `at_margin` at ``bound + margin``."""
    excess = np.maximum(np.abs(np.asarray(value, dtype=np.float64)) - bound, 0.0) / margin
    return np.exp(np.log(at_margin) * excess**2)
