"""The correction head: two small picture encoders and a perceptron, made for 2 ms on one thread.

Each view is shown as it is now and as it was at the capture, six channels; what differs is what the
plan does not know. Convolutions end in maps whose softmax gives the mean place of a feature, so the
network says where something is and not how much of it there is. The base camera has an encoder of
its own, the wrists share one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xr0_sim.errors import ConfigError
from xr0_sim.model.correction.features import FEATURE_DIM
from xr0_sim.model.correction.residual import BOUND, RESIDUAL_DIM
from xr0_sim.model.correction.views import VIEW_SIZE

VIEWS = 3
PICTURE_CHANNELS = 6
KERNELS = ((6, 4, 1), (3, 1, 1), (3, 1, 1))
"""Kernel, stride and padding of each convolution: few large steps cost least per call."""


@dataclass(frozen=True)
class CorrectionConfig:
    """Sizes of a head.

    Attributes:
        channels: Of the convolutions.
        keypoints: Places that an encoder reads from a view.
        width: Of the perceptron.
        horizon: Rows of the chunks it corrects.
        view_size: Side of its views [px].
        dropout: Share of the perceptron's inputs left out in training.
        dead_zone: Displacement [m], rotation [rad] and jaw that are not executed, see
            `xr0_sim.model.correction.residual.beyond`; about the error of the head itself.
        action_head: Head of the action expert whose chunks it corrects.
    """

    channels: tuple[int, int, int] = (16, 24, 24)
    keypoints: int = 16
    width: int = 192
    horizon: int = 30
    view_size: int = VIEW_SIZE
    dropout: float = 0.1
    dead_zone: tuple[float, float, float] = (0.004, 0.05, 0.2)
    action_head: str = "sync"

    def __post_init__(self) -> None:
        """Rejects sizes that make no network."""
        sizes = (*self.channels, self.keypoints, self.width, self.horizon, self.view_size)
        shares = 0 <= self.dropout < 1 and min(self.dead_zone) >= 0 and len(self.dead_zone) == 3
        if len(self.channels) != len(KERNELS) or min(sizes) < 1 or not shares:
            raise ConfigError(
                f"correction head: expected {len(KERNELS)} channels, sizes >= 1, a dropout in "
                f"0 .. 1 and a dead zone of three numbers >= 0, got {self}"
            )


class ViewEncoder(nn.Module):
    """(B, 6, S, S) in 0 .. 1 -> places of keypoints, (B, 2 * keypoints) in -1 .. 1."""

    def __init__(self, config: CorrectionConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before, side = PICTURE_CHANNELS, config.view_size
        for channels, (kernel, stride, padding) in zip(config.channels, KERNELS, strict=True):
            layers += [nn.Conv2d(before, channels, kernel, stride, padding), nn.ReLU()]
            before, side = channels, _side(side, kernel, stride, padding)
        maps = nn.Sequential(*layers, nn.Conv2d(before, config.keypoints, 1))
        # Pictures come with their channels last.
        self.maps = maps.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        line = torch.linspace(-1.0, 1.0, side)
        places = torch.stack(torch.meshgrid(line, line, indexing="ij")).flatten(1)
        self.register_buffer("places", places.T.contiguous(), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        weights = self.maps(pictures).flatten(2).softmax(dim=-1)
        places: Tensor = self.places  # type: ignore[assignment]
        return (weights @ places).flatten(1)


class CorrectionHead(nn.Module):
    """Residual of a planned row from what is seen now."""

    def __init__(self, config: CorrectionConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or CorrectionConfig()
        self.base, self.wrist = ViewEncoder(config), ViewEncoder(config)
        self.register_buffer("feature_mean", torch.zeros(FEATURE_DIM))
        self.register_buffer("feature_std", torch.ones(FEATURE_DIM))
        self.register_buffer("bound", torch.tensor(BOUND, dtype=torch.float32))
        seen = 2 * config.keypoints * VIEWS
        self.trunk = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(FEATURE_DIM + seen, config.width),
            nn.ReLU(),
            nn.Linear(config.width, config.width),
            nn.ReLU(),
        )
        self.out = nn.Linear(config.width, RESIDUAL_DIM)
        # An untrained head leaves the plan alone.
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, features: Tensor, now: Tensor, then: Tensor) -> Tensor:
        """Residuals (B, 14) within the bound, in physical units.

        Args:
            features: (B, F) see `xr0_sim.model.correction.features`.
            now: (B, 3, S, S, 3) views when the row is due, uint8.
            then: The same at the capture.
        """
        pictures = torch.cat([now, then], dim=-1).permute(0, 1, 4, 2, 3) / 255.0
        batch = len(pictures)
        wrists = self.wrist(pictures[:, 1:].flatten(0, 1)).view(batch, -1)
        mean: Tensor = self.feature_mean  # type: ignore[assignment]
        std: Tensor = self.feature_std  # type: ignore[assignment]
        bound: Tensor = self.bound  # type: ignore[assignment]
        told = ((features - mean) / std).clamp(-5.0, 5.0)
        hidden = self.trunk(torch.cat([told, self.base(pictures[:, 0]), wrists], dim=-1))
        return torch.tanh(self.out(hidden)) * bound

    def flops(self) -> float:
        """Matrix products and convolutions of one call; a multiply-add counts two."""
        config = self.config
        total, side, before = 0, config.view_size, PICTURE_CHANNELS
        for channels, (kernel, stride, padding) in zip(config.channels, KERNELS, strict=True):
            side = _side(side, kernel, stride, padding)
            total += 2 * side**2 * before * channels * kernel**2
            before = channels
        total += 2 * side**2 * config.keypoints * (before + 2)
        layers = [m for m in self.modules() if isinstance(m, nn.Linear)]
        linear = sum(layer.in_features * layer.out_features for layer in layers)
        return float(VIEWS * total + 2 * linear)


def _side(side: int, kernel: int, stride: int, padding: int) -> int:
    """Side of the maps that a convolution makes of maps with one."""
    return (side + 2 * padding - kernel) // stride + 1
