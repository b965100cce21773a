"""The assembled policy network: Qwen3-VL VLM, action expert, and their one-call interface."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from xr0_sim.errors import ConfigError
from xr0_sim.model.action_expert.flow import euler_sample
from xr0_sim.model.action_expert.network import ActionExpert, layout_valid
from xr0_sim.model.spec.config import XR0Config
from xr0_sim.model.vlm.cache import VlmCache
from xr0_sim.model.vlm.forward import encode
from xr0_sim.model.vlm.inputs import VlmInputs
from xr0_sim.model.vlm.qwen import Qwen3VL


class XR0ForActionGeneration(nn.Module):
    """Images, instruction and state in; a chunk of normalised relative actions out.

    The expert's submodules are registered at the top level, under the names of the released
    tensors (``dit.layers.N...``, ``state_projector`` ...); `expert` is a view of the same modules.
    """

    _expert: ActionExpert

    def __init__(self, config: XR0Config) -> None:
        super().__init__()
        self.config = config
        self.assemble(config)

    def assemble(self, config: XR0Config) -> None:
        """Adds the modules."""
        self.vlm = Qwen3VL(config.vlm_config)
        expert = ActionExpert(config)
        for name, module in expert.named_children():
            self.add_module(name, module)
        object.__setattr__(self, "_expert", expert)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.vlm.device

    @property
    def expert(self) -> ActionExpert:
        """The action expert; its parameters are those of this model."""
        return self._expert

    def encode(self, inputs: VlmInputs, compiled: bool = False) -> VlmCache:
        """Runs the VLM once; the cache serves any number of `sample_actions` calls.

        Args:
            inputs: The batch.
            compiled: Run its blocks and layers compiled, see `xr0_sim.model.vlm.forward.encode`.
        """
        layers = self.config.dit_config.num_hidden_layers
        return encode(self.vlm, inputs, layers, compiled=compiled)

    @torch.no_grad()
    def sample_actions(
        self,
        cache: VlmCache,
        state: Tensor,
        prefix: Tensor,
        prefix_lengths: Tensor,
        generator: torch.Generator | list[torch.Generator] | None = None,
        action_mask: Tensor | None = None,
        sampler: Callable[..., Tensor] | None = None,
        temperature: float = 1.0,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Draws one chunk per frame.

        Args:
            cache: B frames.
            state: (B, 32) normalised.
            prefix: (B, d, 32) normalised committed rows, already relative to *this* state; d is
                the longest prefix of the batch and may be 0.
            prefix_lengths: (B,) long, each at most d; on the processor nobody waits for them.
            generator: Source of the flow noise, on the processor; a list gives every row its own,
                so that a row's noise does not depend on its neighbours in the batch. None when
                ``noise`` is given.
            action_mask: (T, 32) or (B, T, 32) mask of a robot type, 1 where an entry counts; the
                dual-arm layout's when None.
            sampler: Runs the Euler loop in place of `euler_sample`, to the same result. It gets
                what it needs where ``prefix`` lies, which need not be the network's device.
            temperature: Factor on the noise the flow starts from; 0 takes the one chunk in the
                middle of all.
            noise: (B, T, 32) of any floating format, in place of a draw: the noise of another
                implementation, which may draw it elsewhere and otherwise. Entries that the mask
                leaves out are taken as zero.

        Raises:
            ConfigError: Prefix, noise or generators do not fit the cache.

        Returns:
            (B, T, 32) normalised; the first ``prefix_lengths`` rows equal the prefix exactly.
        """
        rows, longest = prefix.shape[:2]
        length, width = self.config.action_length, self.config.action_dim
        if rows != cache.frames or longest >= length or int(prefix_lengths.max()) > longest:
            raise ConfigError(
                f"prefix: expected {cache.frames} rows of at most {length - 1} actions and lengths "
                f"within them, got {tuple(prefix.shape)} with lengths {prefix_lengths.tolist()}"
            )
        if noise is None:
            noise = _draw_noise(generator, (rows, length, width))
        elif generator is not None:
            raise ConfigError("noise: expected either a generator or ready noise, got both")
        elif noise.shape != (rows, length, width) or not noise.is_floating_point():
            raise ConfigError(
                f"noise: expected floating ({rows}, {length}, {width}), one chunk per frame, got "
                f"{noise.dtype} {tuple(noise.shape)}"
            )
        place = prefix.device
        noise = noise.to(place, torch.float32)
        prefix_lengths = prefix_lengths.to(place)
        valid = layout_valid(place) if action_mask is None else action_mask
        noise = temperature * noise * valid
        padded = torch.zeros_like(noise)
        padded[:, :longest] = prefix
        if sampler is not None:
            return sampler(cache, state, padded, prefix_lengths, noise, action_mask)
        steps = self.config.num_euler_steps
        return euler_sample(
            self.expert, cache, state, padded, prefix_lengths, noise, steps, action_mask
        )

    def forward(self, inputs: VlmInputs, state: Tensor, generator: torch.Generator) -> Tensor:
        """`encode` and `sample_actions` without a prefix."""
        cache = self.encode(inputs)
        empty = state.new_zeros(len(state), 0, self.config.action_dim)
        lengths = torch.zeros(len(state), dtype=torch.long, device=state.device)
        return self.sample_actions(cache, state, empty, lengths, generator)


def _draw_noise(
    generator: torch.Generator | list[torch.Generator] | None, shape: tuple[int, int, int]
) -> Tensor:
    """(B, T, 32) normal draws on the processor."""
    if generator is None:
        raise ConfigError("noise: expected a generator or ready noise, got neither")
    if not isinstance(generator, list):
        return torch.randn(shape, generator=generator)
    if len(generator) != shape[0]:
        raise ConfigError(f"generators: expected one per frame, {shape[0]}, got {len(generator)}")
    return torch.cat([torch.randn(1, *shape[1:], generator=g) for g in generator])
