"""A trained agent: the network's plain arrays and the statistics of its features, without torch.

The file is a safetensors file: ``mean``, ``variance`` (69,) of the features, ``weight{k}`` (out,
in) and ``bias{k}`` of the layers; what it was trained on is JSON in the header.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from policies.rl.decisions import DECISION_DIM, DECISION_TICKS
from policies.rl.features import FEATURE_DIM
from xr0_sim.atomic import write_bytes
from xr0_sim.errors import ConfigError

FORMAT = "xr0_sim.rl_agent.2"
EPSILON = 1e-8
CLIP = 10.0
"""Added to variances, and bound of normalised features, as in Stable-Baselines3's VecNormalize."""


@dataclass(frozen=True)
class Agent:
    """Features in, decision out: rectified hidden layers and a hyperbolic tangent at the end.

    Attributes:
        mean: Of the features (69,).
        variance: Of the features (69,).
        layers: Weight (out, in) and bias (out,) of every layer.
        record: How it was trained, plain JSON values.
    """

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    layers: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]
    record: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Checks that everything fits together."""
        shapes = [FEATURE_DIM, *(len(bias) for _, bias in self.layers)]
        fits = len(self.layers) > 0 and shapes[-1] == DECISION_DIM
        fits &= self.mean.shape == self.variance.shape == (FEATURE_DIM,)
        for (weight, bias), before, after in zip(self.layers, shapes, shapes[1:], strict=False):
            fits &= weight.shape == (after, before) and bias.shape == (after,)
        arrays: list[NDArray[Any]] = [
            self.mean,
            self.variance,
            *(a for layer in self.layers for a in layer),
        ]
        if not fits or not all(np.isfinite(array).all() for array in arrays):
            raise ConfigError(
                f"agent: expected finite layers from {FEATURE_DIM} features to {DECISION_DIM} "
                f"entries of a decision, got {[a.shape for a in arrays]}; train it again"
            )

    def decide(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """The decision (..., 8) on features (..., 69), without exploration."""
        scaled = (features - self.mean) / np.sqrt(self.variance + EPSILON)
        value = np.clip(scaled, -CLIP, CLIP).astype(np.float32)
        for weight, bias in self.layers[:-1]:
            value = np.maximum(value @ weight.T + bias, 0.0)
        weight, bias = self.layers[-1]
        return np.tanh(value @ weight.T + bias).astype(np.float32)

    def predict(
        self,
        observation: NDArray[np.floating],
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[np.float32], Any]:
        """`decide` as Stable-Baselines3's ``evaluate_policy`` asks for it."""
        return self.decide(observation), state

    def save(self, path: Path) -> None:
        """Writes the file, whole or not at all."""
        arrays: dict[str, NDArray[Any]] = {"mean": self.mean, "variance": self.variance}
        for k, (weight, bias) in enumerate(self.layers):
            arrays[f"weight{k}"], arrays[f"bias{k}"] = weight, bias
        header = {
            "format": FORMAT,
            "decision_ticks": str(DECISION_TICKS),
            "record": json.dumps(dict(self.record), sort_keys=True),
        }
        plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        write_bytes(path, save(plain, header))


def load_agent(path: Path) -> Agent:
    """Reads an agent.

    Raises:
        ConfigError: No such file, or not an agent of this version.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"agent {path}: expected a safetensors file, got {error}") from None
    found = header.get("format"), header.get("decision_ticks")
    if found != (FORMAT, str(DECISION_TICKS)):
        raise ConfigError(
            f"agent {path}: expected format {FORMAT!r} with a decision every {DECISION_TICKS} "
            f"ticks, got {found[0]!r} with {found[1]!r}; train it again with `xr0-sim train-rl`"
        )
    try:
        count = sum(name.startswith("weight") for name in arrays)
        layers = [(arrays[f"weight{k}"], arrays[f"bias{k}"]) for k in range(count)]
        return Agent(arrays["mean"], arrays["variance"], layers, json.loads(header["record"]))
    except (KeyError, ValueError) as error:
        raise ConfigError(f"agent {path}: expected its arrays and record, got {error!r}") from None
