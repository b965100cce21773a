"""The action expert ("cerebellum"): projectors, time embedding and transformer around a cache.

One call predicts the velocity of every action row. The flow time t is one number per sample and
conditions *all* its tokens, the clean prefix rows too: in the public training code t enters once
per sample through adaLN, and what tells clean rows from noisy ones is the position offset. The
velocity of prefix rows is defined as zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from xr0_sim.model.action_expert.dit import Context, DiT, Layer
from xr0_sim.model.action_expert.masks import CONTEXT_TOKENS, expert_mask, expert_positions
from xr0_sim.model.compute.kept import counted, kept, numbers
from xr0_sim.model.spec.action_layout import action_valid
from xr0_sim.model.spec.config import XR0Config
from xr0_sim.model.vlm.cache import VlmCache

TIME_FREQUENCIES = 256
TIME_SCALE = 1000.0
LONGEST_PERIOD = 10_000.0


class Projector(nn.Module):
    """Linear layers joined by GELU(tanh); two without bias unless told otherwise."""

    def __init__(self, inputs: int, outputs: int, depth: int = 2, bias: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Linear(inputs, outputs, bias=bias)]
        for _ in range(depth - 1):
            layers += [nn.GELU(approximate="tanh"), nn.Linear(outputs, outputs, bias=bias)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs)."""
        return self.layers(x)


class TimeEmbedder(nn.Module):
    """Sinusoids of 1000 t, then a two-layer SiLU MLP without bias."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(TIME_FREQUENCIES, width, bias=False),
            nn.SiLU(),
            nn.Linear(width, width, bias=False),
        )

    def forward(self, time: Tensor) -> Tensor:
        """(B,) flow times in [0, 1] to (B, width)."""
        angles = TIME_SCALE * time.float()[:, None] * _time_frequencies(time.device)
        waves = torch.cat([angles.cos(), angles.sin()], dim=-1)
        return self.mlp(waves.to(next(self.mlp.parameters()).dtype))


@kept
def _time_frequencies(device: torch.device) -> Tensor:
    half = TIME_FREQUENCIES // 2
    steps = torch.arange(half, device=device, dtype=torch.float32)
    return torch.exp(-math.log(LONGEST_PERIOD) / half * steps)


@kept
def layout_valid(device: torch.device) -> Tensor:
    """(32,) 1 where an action dimension of the dual-arm layout carries meaning."""
    return torch.from_numpy(action_valid().astype("float32")).to(device)


@dataclass(frozen=True)
class Conditions:
    """What the velocity field depends on beside flow time and noisy actions.

    Attributes:
        tokens: (B, 2, hidden) sink and state.
        context: Rotations and masks.
        cache: F frames, B a multiple of F.
        valid: (32,), (T, 32) or (B, T, 32), 1 where an entry counts.
        masked: Whether the network's input is masked by ``valid`` too.
        clean: (B, T) bool, True on prefix rows.
    """

    tokens: Tensor
    context: Context
    cache: VlmCache
    valid: Tensor
    masked: bool
    clean: Tensor


class ActionExpert(nn.Module):
    """Predicts flow velocities for action chunks; submodule names follow the released tensors."""

    def __init__(self, config: XR0Config) -> None:
        super().__init__()
        width = config.dit_config.hidden_size
        self.action_length = config.action_length
        self.noisy_offset = config.noisy_position_offset
        self.dit = DiT(config.dit_config)
        self.state_projector = Projector(config.state_dim, width)
        self.action_projector = Projector(config.action_dim, width)
        self.action_output_layer = Projector(width, config.action_dim)
        self.t_embedder = TimeEmbedder(width)
        self.t_projector = Projector(width, 6 * width, depth=1, bias=True)
        self.sink = nn.Embedding(1, width)
        rope_theta = config.vlm_config.text_config.rope_parameters["rope_theta"]
        head_dim = config.dit_config.head_dim
        # Plain numbers, not buffers: they follow from the configuration and are never stored.
        self.inverse_frequency = [rope_theta ** (-i / head_dim) for i in range(0, head_dim, 2)]
        self._action_window = config.action_window

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.sink.weight.device

    @property
    def action_valid(self) -> Tensor:
        """(32,) 1 where an action dimension carries meaning."""
        return layout_valid(self.device)

    @property
    def frequencies(self) -> Tensor:
        """(head / 2,) rotary frequencies of its tokens."""
        return numbers(tuple(self.inverse_frequency), self.device)

    def use_action_window(self, window: int) -> None:
        """Lets an action token see ``window`` earlier actions, whatever the head was trained with.

        To be called before a sampler is prepared, which keeps the mask.
        """
        self._action_window = window

    def own_mask(self) -> Tensor:
        """(2 + T, 2 + T) bool visibility of this head."""
        return expert_mask(self.action_length, self._action_window, self.device)

    def forward(
        self,
        noisy_actions: Tensor,
        time: Tensor,
        state: Tensor,
        cache: VlmCache,
        prefix_lengths: Tensor,
        own_mask: Tensor | None = None,
        action_mask: Tensor | None = None,
    ) -> Tensor:
        """Velocity field.

        Args:
            noisy_actions: (F * R, T, 32) normalised; the first rows may be a clean prefix.
            time: (F * R,) flow time.
            state: (F, 32) normalised.
            cache: F frames; each serves R consecutive rows.
            prefix_lengths: (F * R,) clean rows.
            own_mask: Overrides the head's mask, (2 + T, 2 + T) or (F * R, 2 + T, 2 + T).
            action_mask: Mask of a robot type, (T, 32) or (F * R, T, 32), instead of the dual-arm
                layout's. The released code masks the network's input in every step and lets the
                other entries drift; here they are held at zero, which the network cannot tell.

        Returns:
            (F * R, T, 32) velocities, zero on prefix rows and in dimensions without meaning.
        """
        conditions = self.prepare(
            state, cache, prefix_lengths, noisy_actions.shape[1], own_mask, action_mask
        )
        return self.velocity(noisy_actions, self.modulation(time), conditions)

    def modulation(self, time: Tensor) -> Tensor:
        """(B,) flow times to what they add to every layer's adaLN table, (B, 6, hidden)."""
        return self.t_projector(self.t_embedder(time)).view(len(time), 6, -1)

    def prepare(
        self,
        state: Tensor,
        cache: VlmCache,
        prefix_lengths: Tensor,
        length: int,
        own_mask: Tensor | None = None,
        action_mask: Tensor | None = None,
    ) -> Conditions:
        """What does not change along the flow, for `velocity`; arguments as in `forward`.

        Without a backward pass, and with one row a frame, the cache is laid out for the fused
        attention as well.
        """
        rows = len(prefix_lengths)
        repeat = rows // cache.frames
        valid = self.action_valid if action_mask is None else action_mask
        sink = self.sink.weight.expand(rows, 1, -1)
        state_token = self.state_projector(state.to(sink.dtype))
        state_token = state_token.repeat_interleave(repeat, 0)[:, None]
        positions = expert_positions(
            cache.next_position.repeat_interleave(repeat), prefix_lengths, length, self.noisy_offset
        )
        angles = positions[..., None].float() * self.frequencies
        angles = torch.cat([angles, angles], dim=-1)
        mask = self.own_mask() if own_mask is None else own_mask
        joined = repeat == 1 and not torch.is_grad_enabled()
        if joined:
            heads = cast(Layer, self.dit.layers[0]).attn.num_heads
            cache = cache.grouped(heads, sink.dtype)
        return Conditions(
            torch.cat([sink, state_token.to(sink.dtype)], dim=1),
            Context(angles.cos(), angles.sin(), cache, mask, joined),
            cache,
            valid,
            action_mask is not None,
            counted(length, sink.device) < prefix_lengths[:, None],
        )

    def velocity(self, noisy_actions: Tensor, modulation: Tensor, conditions: Conditions) -> Tensor:
        """Velocities (B, T, 32) of rows (B, T, 32) under a modulation (1 or B, 6, hidden)."""
        known = conditions.tokens
        if conditions.masked:
            noisy_actions = noisy_actions * conditions.valid
        projected = self.action_projector(noisy_actions.to(known.dtype)).to(known.dtype)
        tokens = torch.cat([known, projected], dim=1)
        hidden = self.dit(tokens, conditions.cache, modulation, conditions.context)
        velocity = self.action_output_layer(hidden[:, CONTEXT_TOKENS:]).float() * conditions.valid
        return velocity.masked_fill(conditions.clean[..., None], 0.0)
