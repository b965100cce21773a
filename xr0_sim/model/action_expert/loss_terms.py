"""How entries of the flow loss are weighted, and its frequency term, in named forms.

Public post-training code, for a batch whose samples all have a prefix of d rows:

```
    w    = clamp( |sampled - action| / mean |sampled - action| , 0.5, 5 )    1 without a prefix
    loss = 0.5 mean( w (v - v*)^2 ) + c mean( w_row |rfft(v) - rfft(v*)| ),  c = 1
```

with ``sampled`` the chunk that five Euler steps make of the draw's own noise, all means over the
entries of the batch, the transform unscaled and over the T - d rows behind the prefix, and w_row
the mean weight of a draw. Dividing by the number of entries rather than by the sum of the weights,
it weighs between frames as well: a frame that is hard throughout counts for more than an easy one.

Here prefix lengths may differ within a batch, dimensions without meaning are left out of every
mean, and each form has a name:

* `REWEIGHTINGS`: ``published``, as above; ``per_frame``, ours: one sampled chunk serves all draws
  of a frame, with or without a prefix, and each frame is divided by its own sum of weights, so that
  it weighs within frames only.
* `FREQUENCY_TERMS`: ``published``, as above; ``unitary``, ours: a tenth of the spectrum of the
  whole chunk under a unitary transform, whose scale does not depend on the chunk's length.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from xr0_sim.errors import ConfigError, unknown_name

REWEIGHTINGS = ("none", "published", "per_frame")
WEIGHT_LIMITS = (0.5, 5.0)


@dataclass(frozen=True)
class FrequencyTerm:
    """The frequency term of the loss.

    Attributes:
        coefficient: Factor against the squared error; 0 leaves the term out.
        unitary: Our form (``norm="ortho"``, whole chunk) instead of the published one.
    """

    coefficient: float
    unitary: bool = False

    def __post_init__(self) -> None:
        """Rejects a coefficient below zero or NaN."""
        if not 0.0 <= self.coefficient < float("inf"):
            raise ConfigError(
                f"frequency coefficient: expected a number >= 0, got {self.coefficient}"
            )


FREQUENCY_TERMS = {
    "none": FrequencyTerm(0.0),
    "published": FrequencyTerm(1.0),
    "unitary": FrequencyTerm(0.1, unitary=True),
}


def reweighting(value: str | bool) -> str:
    """A name of `REWEIGHTINGS`; True stands for ``published``, False for ``none``."""
    name = {True: "published", False: "none"}[value] if isinstance(value, bool) else value
    if name not in REWEIGHTINGS:
        raise unknown_name("reweighting", str(name), REWEIGHTINGS)
    return name


def frequency_term(value: FrequencyTerm | str | float) -> FrequencyTerm:
    """A term by name, as it is, or by the coefficient of the unitary form."""
    if isinstance(value, FrequencyTerm):
        return value
    if isinstance(value, str):
        if value not in FREQUENCY_TERMS:
            raise unknown_name("frequency term", value, FREQUENCY_TERMS)
        return FREQUENCY_TERMS[value]
    return FrequencyTerm(float(value), unitary=True) if value else FREQUENCY_TERMS["none"]


def normalised_weights(error: Tensor, counted: Tensor) -> Tensor:
    """Weights of the shape of ``error`` (L1, >= 0): mean 1 where ``counted`` is 1, then clamped."""
    mean = (error * counted).sum() / counted.sum().clamp_min(1.0)
    return (error / mean.clamp_min(1e-8)).clamp(*WEIGHT_LIMITS)


def squared_loss(error: Tensor, weight: Tensor, counted: Tensor, by_weights: bool) -> Tensor:
    """Half the weighted mean square per frame.

    Args:
        error: (F, R, T, 32) predicted minus wanted velocity.
        weight: (F, 1 or R, T, 32).
        counted: (F, T, 32) 1 where an entry counts.
        by_weights: Divide each frame by its own sum of weights; otherwise all frames by the mean
            number of entries, so that the mean over frames is the mean over the batch's entries.

    Returns:
        (F,).
    """
    squares = ((error.square() * weight).mean(1) * counted).sum((1, 2))
    if by_weights:
        return 0.5 * squares / (weight.mean(1) * counted).sum((1, 2)).clamp_min(1.0)
    return 0.5 * squares / (counted.sum() / len(counted)).clamp_min(1.0)


def frequency_loss(
    error: Tensor, weight: Tensor, counted: Tensor, prefix_lengths: Tensor, term: FrequencyTerm
) -> Tensor:
    """(F,) frequency term without its coefficient; arguments as in `squared_loss`."""
    if term.unitary:
        return frequency_error(error, counted)
    return published_frequency_error(error, weight, counted, prefix_lengths)


def frequency_error(error: Tensor, counted: Tensor) -> Tensor:
    """Mean magnitude of an error's unitary spectrum along the chunk, |rfft(pred) - rfft(target)|.

    Args:
        error: (F, R, T, 32) predicted minus wanted.
        counted: (F, T, 32) 1 where an entry counts; the others are taken as without error.

    Returns:
        (F,) mean over draws, frequencies and dimensions that count somewhere.
    """
    spectrum = torch.fft.rfft((error * counted[:, None]).float(), dim=2, norm="ortho").abs()
    return spectrum.mean((1, 2)).sum(-1) / _dimensions(counted)


def published_frequency_error(
    error: Tensor, weight: Tensor, counted: Tensor, prefix_lengths: Tensor
) -> Tensor:
    """Mean magnitude of an error's unscaled spectrum behind the prefix, times the draw's weight.

    Args:
        error: (F, R, T, 32) predicted minus wanted.
        weight: (F, 1 or R, T, 32).
        counted: (F, T, 32) 1 where an entry counts; the others are taken as without error.
        prefix_lengths: (F,) rows that the transform leaves out.

    Returns:
        (F,) mean over draws, frequencies and dimensions that count somewhere.
    """
    kept = counted[:, None]
    entries = counted.sum((1, 2)).clamp_min(1.0)[:, None]
    draw_weight = (weight * kept).sum((2, 3)) / entries
    left = (error * kept).float()
    mean = torch.zeros(error.shape[0], error.shape[3], device=error.device)
    for length in prefix_lengths.unique().tolist():
        frames = (prefix_lengths == length).nonzero().squeeze(1)
        spectrum = torch.fft.rfft(left[frames][:, :, length:], dim=2).abs().mean(2)
        spectrum = (spectrum * draw_weight[frames][..., None]).mean(1)
        mean = mean.index_copy(0, frames, spectrum)
    return mean.sum(-1) / _dimensions(counted)


def _dimensions(counted: Tensor) -> Tensor:
    """(F,) dimensions that count somewhere."""
    return counted.amax(1).sum(-1).clamp_min(1.0)
