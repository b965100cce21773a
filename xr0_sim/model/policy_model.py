"""A loaded policy: observations and committed actions in physical units in, chunks out.

This is the seam between the network, which knows normalised 32-wide rows, and a policy, which knows
absolute joint targets.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from xr0_sim.errors import ConfigError
from xr0_sim.model.action_expert.guidance import MAX_WEIGHT, guided_sample
from xr0_sim.model.action_expert.network import ActionExpert
from xr0_sim.model.action_expert.sampler import SHAPE_STEP, FlowSampler
from xr0_sim.model.compute.default_dtype import float32_default
from xr0_sim.model.compute.precision import (
    DEFAULT_PRECISION,
    choose_precision,
    device_features,
    expert_weights,
)
from xr0_sim.model.graphed import GraphedModel
from xr0_sim.model.spec.action_layout import LAYOUT_DIM, ArmTargets, encode_chunk
from xr0_sim.model.spec.config import XR0Config
from xr0_sim.model.spec.normalizer import Normalizer
from xr0_sim.model.vla import XR0ForActionGeneration
from xr0_sim.model.vlm.cache import VlmCache
from xr0_sim.model.vlm.processor import Images, XR0Processor
from xr0_sim.types import RobotState

TICK_STREAM = 0x7469636B
"""Second word of the seed of noise that belongs to a tick."""


@dataclass(frozen=True)
class PolicyModel:
    """Network, processor and statistics that belong together.

    Attributes:
        model: The network in evaluation mode.
        processor: Images and text to network inputs.
        normalizer: Statistics of the training set.
        precision: Number format of the large products (`xr0_sim.model.compute.precision`); the
            VLM is brought into it where a policy is loaded.
        compile: Whether the VLM's blocks and layers and the Euler step are compiled.
        graph: Whether it runs in captured graphs (`xr0_sim.model.graphed`).
        action_mask: (T, 32) entries that a robot type uses; None for both arms of the layout.
    """

    model: XR0ForActionGeneration
    processor: XR0Processor
    normalizer: Normalizer
    precision: str = DEFAULT_PRECISION
    compile: bool = False
    action_mask: torch.Tensor | None = None
    graph: bool = False

    def __post_init__(self) -> None:
        """Rejects a format that there is not."""
        policy_precision(self.config, self.precision, self.model.device)

    @property
    def config(self) -> XR0Config:
        """Configuration of VLM and head."""
        return self.model.config

    @cached_property
    def sampler(self) -> FlowSampler:
        """The Euler loop, prepared at its first use; the weights are final by then."""
        steps = self.config.num_euler_steps
        return FlowSampler(self.model.expert, steps, self.compile, self.precision)

    @cached_property
    def graphs(self) -> GraphedModel:
        """VLM and Euler loop as captured graphs, prepared at their first use."""
        return GraphedModel(self.model, self.sampler, self.compile)

    @torch.no_grad()
    def predict(
        self,
        images: NDArray[np.uint8],
        instructions: Sequence[str],
        robot: RobotState,
        prefixes: Sequence[ArmTargets | None],
        noise_seeds: Sequence[Sequence[int]],
        temperature: float = 1.0,
    ) -> NDArray[np.float64]:
        """Chunks for B observations.

        Args:
            images: (B, cameras, H, W, 3) uint8 in the order of `xr0_sim.conventions.CAMERAS`.
            instructions: B task texts.
            robot: Measured states with a leading axis B.
            prefixes: Per observation the committed absolute targets, (d, 2, *) each, or None. They
                are re-expressed relative to the new state here.
            noise_seeds: Per observation the integers that seed its flow noise.
            temperature: Factor on that noise.

        Returns:
            (B, T, 32) relative actions in physical units; decode with
            `xr0_sim.model.spec.action_layout.decode_joints` or `decode_tools` and the same state.

        Raises:
            ConfigError: A measured state is NaN or infinite.
        """
        noise = self.noise(noise_seeds)
        return self.chunk(images, instructions, robot, prefixes, noise, temperature)[0]

    @torch.no_grad()
    def chunk(
        self,
        images: NDArray[np.uint8],
        instructions: Sequence[str],
        robot: RobotState,
        prefixes: Sequence[ArmTargets | None],
        noise: torch.Tensor,
        temperature: float = 1.0,
    ) -> tuple[NDArray[np.float64], VlmCache]:
        """Chunks of B observations, see `predict`, and what the VLM made of their frames.

        The next call may overwrite the cache; `VlmCache.repeated` copies it.
        """
        if not self.graph:
            cache = self.encode(images, instructions)
            return self.denoise(cache, robot, prefixes, noise, temperature), cache
        with float32_default():
            inputs = self.processor(images, instructions)
            found: list[VlmCache] = []

            def run(_: VlmCache, *request: torch.Tensor) -> torch.Tensor:
                actions, cache = self.graphs.chunk(inputs, *request)
                found.append(cache)
                return actions

            none = VlmCache((), inputs.key_mask(), inputs.lengths)
            state, rows = self._laid_out(robot, prefixes)
            # Graphs take what they need from the processor by themselves, without waiting.
            place = torch.device("cpu")
            actions = self._sampled(none, state, rows, noise, temperature, run, place)
        return actions, found[0]

    @torch.no_grad()
    def encode(self, images: Images, instructions: Sequence[str]) -> VlmCache:
        """What the VLM makes of B frames, see `predict`: all the action expert sees of them."""
        with float32_default():
            inputs = self.processor(images, instructions)
            if self.graph:
                return self.graphs.encode(inputs)
            if self.compile:
                inputs = inputs.padded(SHAPE_STEP)
            return self.model.encode(inputs.to(self.model.device), self.compile)

    def noise(self, seeds: Sequence[Sequence[int]], first_tick: int | None = None) -> torch.Tensor:
        """Flow noise (B, T, 32).

        Args:
            seeds: Of B inferences, each starting with the episode's.
            first_tick: Tick of row 0, where every tick of an episode has its own noise, whichever
                inference asks; None for noise of the inference.
        """
        length = self.config.action_length
        if first_tick is None:
            return torch.stack([self._drawn(seed, length) for seed in seeds])
        ticks = range(first_tick, first_tick + length)
        rows = [[self._drawn((*seed, TICK_STREAM, tick), 1) for tick in ticks] for seed in seeds]
        return torch.stack([torch.cat(row) for row in rows])

    def _drawn(self, seed: Sequence[int], rows: int) -> torch.Tensor:
        number = int(np.random.SeedSequence(seed).generate_state(1)[0])
        generator = torch.Generator().manual_seed(number)
        shape = (rows, self.config.action_dim)
        return torch.randn(shape, generator=generator, dtype=torch.float32)

    @torch.no_grad()
    def denoise(
        self,
        cache: VlmCache,
        robot: RobotState,
        prefixes: Sequence[ArmTargets | None],
        noise: torch.Tensor,
        temperature: float = 1.0,
        guides: Sequence[tuple[ArmTargets, NDArray[np.float64]]] | None = None,
        strength: float = MAX_WEIGHT,
    ) -> NDArray[np.float64]:
        """Chunks from what the VLM made of the frames, the second half of `predict`.

        Args:
            cache: B frames, of now or of earlier.
            robot: Measured states with a leading axis B.
            prefixes: See `predict`.
            noise: (B, T, 32).
            temperature: Factor on the noise.
            guides: Per observation soft targets (n, 2, *) and their weights (n,), see
                `xr0_sim.model.action_expert.guidance`; None for no guidance.
            strength: Largest guidance weight.
        """
        state, rows = self._laid_out(robot, prefixes)
        wanted = None
        if guides is not None:
            wanted = [
                (encode_chunk(targets, _row(robot, row)), weights)
                for row, (targets, weights) in enumerate(guides)
            ]
        return self.denoise_rows(cache, state, rows, noise, temperature, wanted, strength)

    @torch.no_grad()
    def denoise_rows(
        self,
        cache: VlmCache,
        state: NDArray[np.float32],
        prefixes: Sequence[NDArray[np.float64] | None],
        noise: torch.Tensor,
        temperature: float = 1.0,
        guides: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]] | None = None,
        strength: float = MAX_WEIGHT,
    ) -> NDArray[np.float64]:
        """`denoise` for robots of other kinds, whose state and rows are laid out already.

        Args:
            cache: See `denoise`.
            state: (B, 32) as the network reads it.
            prefixes: Per observation the committed rows (d, 32) in physical units, or None.
            noise: (B, T, 32).
            temperature: Factor on the noise.
            guides: Per observation soft rows (n, 32) in physical units and their weights (n,).
            strength: Largest guidance weight.

        Returns:
            (B, T, 32) rows in physical units.
        """
        graphed = self.graph and guides is None
        place = torch.device("cpu") if graphed else self.model.device
        with float32_default():
            if guides is not None:
                sampler: Callable[..., torch.Tensor] = self._guided(guides, strength)
            else:
                sampler = self.graphs.denoise if graphed else self.sampler
            return self._sampled(cache, state, prefixes, noise, temperature, sampler, place)

    def _laid_out(
        self, robot: RobotState, prefixes: Sequence[ArmTargets | None]
    ) -> tuple[NDArray[np.float32], list[NDArray[np.float64] | None]]:
        """State and committed rows as the network reads them.

        Raises:
            ConfigError: A measured state is NaN or infinite.
        """
        for name in RobotState.__dataclass_fields__:
            if not np.isfinite(getattr(robot, name)).all():
                raise ConfigError(
                    f"observation {name}: expected finite values, got NaN or infinity; the sensor "
                    "or the simulation has failed, stop the robot"
                )
        state = self.normalizer.network_state(robot, self.config.state_layout)
        rows = [
            None if targets is None else encode_chunk(targets, _row(robot, row))
            for row, targets in enumerate(prefixes)
        ]
        return state, rows

    def _sampled(
        self,
        cache: VlmCache,
        state: NDArray[np.float32],
        prefixes: Sequence[NDArray[np.float64] | None],
        noise: torch.Tensor,
        temperature: float,
        sampler: Callable[..., torch.Tensor],
        place: torch.device,
    ) -> NDArray[np.float64]:
        lengths = [0 if rows is None else len(rows) for rows in prefixes]
        prefix = np.zeros((len(prefixes), max(lengths), LAYOUT_DIM), np.float32)
        for row, rows in enumerate(prefixes):
            if rows is not None and lengths[row]:
                prefix[row, : lengths[row]] = self.normalizer.normalize_actions(rows)
        actions = self.model.sample_actions(
            cache,
            torch.from_numpy(state).to(place),
            torch.from_numpy(prefix).to(place),
            torch.tensor(lengths),
            action_mask=None if self.action_mask is None else self.action_mask.to(place),
            sampler=sampler,
            temperature=temperature,
            noise=noise,
        )
        return self.normalizer.denormalize_actions(actions.cpu().numpy())

    def _guided(
        self,
        guides: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
        strength: float,
    ) -> Callable[..., torch.Tensor]:
        """An Euler loop that is drawn towards the guides."""
        device = self.model.device
        shape = (len(guides), self.config.action_length)
        target = torch.zeros(*shape, self.config.action_dim)
        weights = torch.zeros(shape)
        for row, (rows, given) in enumerate(guides):
            count = min(len(given), self.config.action_length)
            target[row, :count] = torch.from_numpy(self.normalizer.normalize_actions(rows[:count]))
            weights[row, :count] = torch.from_numpy(given[:count])
        return functools.partial(
            _guided_loop,
            self.model.expert,
            self.config.num_euler_steps,
            target.to(device),
            weights.to(device),
            strength,
        )


def _guided_loop(
    expert: ActionExpert,
    steps: int,
    target: torch.Tensor,
    weights: torch.Tensor,
    strength: float,
    cache: VlmCache,
    state: torch.Tensor,
    prefix: torch.Tensor,
    prefix_lengths: torch.Tensor,
    noise: torch.Tensor,
    action_mask: torch.Tensor | None = None,
) -> torch.Tensor:
    return guided_sample(
        *(expert, cache, state, prefix, prefix_lengths, noise, steps),
        target,
        weights,
        action_mask,
        strength,
    )


def policy_precision(config: XR0Config, precision: str, device: torch.device) -> str:
    """Number format that a policy of this configuration runs in on a device."""
    weights = expert_weights(config.dit_config.num_hidden_layers, config.dit_config.hidden_size)
    return choose_precision(precision, weights, device_features(device))


def _row(robot: RobotState, row: int) -> RobotState:
    return RobotState(**{n: np.asarray(getattr(robot, n))[row] for n in robot.__dict__})
