"""Stages 2 and 3: the action expert learns the flow over the frozen VLM's cached features.

Stage 2 (`base`) trains without a prefix. Stage 3 continues from it once per head; a head differs
from another only in its `HeadConfig`, so the three published variants are three values:
`xr0_sim.training.posttrain.HEADS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xr0_sim.atomic import write_json
from xr0_sim.data.chunk_store import ChunkStore
from xr0_sim.errors import CheckpointError
from xr0_sim.model.action_expert.flow import (
    FlowLossConfig,
    FlowTargets,
    euler_sample,
    flow_loss,
    is_prefix,
)
from xr0_sim.model.action_expert.loss_terms import frequency_term, reweighting
from xr0_sim.model.action_expert.network import ActionExpert
from xr0_sim.model.checkpoints.shipped import (
    load_config,
    load_head,
    load_normalizer,
    load_vlm,
    save_head,
)
from xr0_sim.model.compute.devices import DEFAULT_DEVICE, choose_device
from xr0_sim.model.initialization import initialize_expert
from xr0_sim.model.spec.config import XR0Config
from xr0_sim.model.spec.normalizer import Normalizer
from xr0_sim.model.vla import XR0ForActionGeneration
from xr0_sim.model.vlm.processor import XR0Processor
from xr0_sim.training.body_source import (
    BodySource,
    MeasuredBody,
    RolledBody,
    RolledChunks,
    draw_rolls,
)
from xr0_sim.training.chunk_tensors import ChunkTensors
from xr0_sim.training.features import FeatureStore
from xr0_sim.training.look_source import EarlierLook, EarlierLooks, FreshLook, LookSource
from xr0_sim.training.parallel import Ranks
from xr0_sim.training.prefix_source import (
    NoPrefix,
    OwnPrefix,
    PrefixSource,
    draw_prefix,
    longest_prefix,
)
from xr0_sim.training.schedule import SampleOrder, step_generator
from xr0_sim.training.trainer import Trainer, TrainerConfig

BASE_HEAD = "base"
RECIPE_FILE = "recipe.json"
"""In a head's run directory: the switches it was trained with."""


@dataclass(frozen=True)
class HeadConfig:
    """What distinguishes one head from another.

    Attributes:
        action_window: Earlier actions an action sees, None = plain causal.
        noisy_position_offset: Gap before the noisy actions.
        prefix: Where training prefixes come from.
        hide_prefix: Random prefix mask.
        body: Whose body chunks are asked from.
        look: Which pictures chunks are asked from.
        reweight: How the loss is weighted by the sampled L1 error, one of
            `xr0_sim.model.action_expert.loss_terms.REWEIGHTINGS`.
        frequency: Frequency term of the loss, a name of ``FREQUENCY_TERMS`` there.
    """

    action_window: int | None = None
    noisy_position_offset: int = 0
    prefix: PrefixSource = field(default_factory=NoPrefix)
    hide_prefix: bool = False
    body: BodySource = field(default_factory=MeasuredBody)
    look: LookSource = field(default_factory=FreshLook)
    reweight: str = "none"
    frequency: str = "none"

    def __post_init__(self) -> None:
        """Rejects a form of the loss that there is not."""
        object.__setattr__(self, "reweight", reweighting(self.reweight))
        frequency_term(self.frequency)

    @property
    def longest_commitment(self) -> float:
        """Rows of a policy's commitment that a sample may begin with and still teach it.

        A head without a prefix is rolled behind them, if at all; one with its own gets them.
        """
        if isinstance(self.prefix, OwnPrefix):
            return math.inf
        return self.body.longest if isinstance(self.body, RolledBody) else 0

    def recipe(self) -> dict[str, object]:
        """Every switch as plain values, for the record."""
        term = frequency_term(self.frequency)
        return asdict(self) | {
            "prefix": {"source": type(self.prefix).__name__} | asdict(self.prefix),
            "body": {"source": type(self.body).__name__} | asdict(self.body),
            "look": {"source": type(self.look).__name__} | asdict(self.look),
            "frequency": {"form": self.frequency} | asdict(term),
        }


@dataclass(frozen=True)
class ExpertStageConfig:
    """Settings of stage 2 or 3.

    Attributes:
        trainer: Loop settings.
        head: What is trained.
        draws: Noise draws per frame (4 in the report).
        validation_fraction: Share of episodes held out; must match stage 1.
        compile: Compile the expert; pays off from about a thousand steps on.
    """

    trainer: TrainerConfig
    head: HeadConfig = field(default_factory=HeadConfig)
    draws: int = 4
    validation_fraction: float = 0.05
    compile: bool = False


class ExpertStage:
    """Loss and evaluation of one head over cached features."""

    def __init__(
        self,
        expert: ActionExpert,
        stage: ExpertStageConfig,
        features: FeatureStore,
        tensors: ChunkTensors,
        normalizer: Normalizer,
        rolled: RolledChunks,
        looks: EarlierLooks | None = None,
    ) -> None:
        self.expert = expert
        self.stage = stage
        self._features = features
        self._tensors = tensors
        self._normalizer = normalizer
        self._rolled = rolled
        self._looks = looks
        head = stage.head
        self._flow = FlowLossConfig(
            stage.draws, head.hide_prefix, head.reweight, head.frequency, sampling_steps=5
        )
        self._velocity = torch.compile(expert, dynamic=False) if stage.compile else expert

    def loss(self, rows: NDArray[np.integer], generator: torch.Generator) -> dict[str, Tensor]:
        """Flow loss on store rows."""
        tensors, index = self._tensors, torch.from_numpy(np.asarray(rows))
        if isinstance(self.stage.head.body, RolledBody):
            tensors = self._rolled_tensors(index, self.stage.head.body, generator)
            index = torch.arange(len(index))
        actions = tensors.actions[index]
        prefix, lengths = draw_prefix(
            self.stage.head.prefix,
            actions,
            tensors.committed[index],
            torch.from_numpy(self._normalizer.action_std),
            generator,
        )
        targets = FlowTargets(actions, tensors.valid(index), prefix, lengths)
        device = self.expert.device
        if self._looks is not None:
            rows = self._looks.draw(rows, generator)
        per_frame = flow_loss(
            self.expert,
            self._features.gather(rows, full_length=self.stage.compile).to(device),
            tensors.state[index].to(device),
            targets.to(device),
            self._flow,
            generator,
            self._velocity,
        )
        return {"loss": per_frame.mean()}

    def _rolled_tensors(
        self, index: Tensor, body: RolledBody, generator: torch.Generator
    ) -> ChunkTensors:
        """The samples of a batch from bodies that are drawn."""
        committed = self._tensors.committed[index]
        rolls = draw_rolls(
            *(body, committed, self._tensors.valid_steps[index], generator),
            prefixed=isinstance(self.stage.head.prefix, OwnPrefix),
        )
        state, actions, valid_steps = self._rolled.batch(index.numpy(), rolls.numpy())
        return ChunkTensors(state, actions, valid_steps, (committed - rolls).clamp(min=0))

    @torch.no_grad()
    def evaluate(self, rows: NDArray[np.integer], prefix_length: int = 0) -> dict[str, float]:
        """Errors of sampled chunks on held-out rows.

        Returns:
            ``tool_mm``, ``joint_mrad`` and ``jaw``: errors over labelled rows behind the prefix,
            mean over both arms, in mm, mrad and opening fraction; ``tool_mm_last``: of the last
            row of complete chunks.
        """
        sums = np.zeros(6)
        size = self.stage.trainer.batch_size
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            index = torch.from_numpy(np.asarray(part))
            actions = self._tensors.actions[index]
            lengths = torch.full((len(part),), prefix_length)
            noise = torch.randn(actions.shape, generator=step_generator(0, start))
            device = self.expert.device
            with self.stage.trainer.autocast(device):
                sampled = euler_sample(
                    self.expert,
                    self._features.gather(part).to(device),
                    self._tensors.state[index].to(device),
                    actions.to(device),
                    lengths.to(device),
                    noise.to(device) * self.expert.action_valid,
                    self._flow.sampling_steps,
                )
            error = (sampled.cpu() - actions).abs() * torch.from_numpy(self._normalizer.action_std)
            valid = self._tensors.valid(index) * ~is_prefix(lengths, actions.shape[1])
            sums += _error_sums(error, valid.amax(-1))
        tool, joint, jaw, count, tool_last, last_count = sums
        return {
            "tool_mm": 1e3 * tool / max(1.0, count),
            "tool_mm_last": 1e3 * tool_last / max(1.0, last_count),
            "joint_mrad": 1e3 * joint / max(1.0, count),
            "jaw": jaw / max(1.0, count),
        }


def _error_sums(error: Tensor, rows: Tensor) -> NDArray[np.float64]:
    """Sums over labelled rows (F, T): tool, joint, jaw, rows, tool in the last row, last rows."""
    tool = (error[..., 0:3].norm(dim=-1) + error[..., 14:17].norm(dim=-1)) / 2
    joint = torch.cat([error[..., 7:13], error[..., 21:27]], -1).mean(-1)
    jaw = (error[..., 6] + error[..., 20]) / 2
    sums = [(part * rows).sum() for part in (tool, joint, jaw)]
    sums += [rows.sum(), (tool * rows)[:, -1].sum(), rows[:, -1].sum()]
    return np.array([float(value) for value in sums])


def train_head(
    store: ChunkStore,
    checkpoint: Path,
    name: str,
    stage: ExpertStageConfig,
    directory: Path,
    features_dir: Path,
    start: str | None = None,
    show: Callable[[str], None] = print,
    evaluation_rows: int = 512,
    device: str = DEFAULT_DEVICE,
) -> bool:
    """Trains one head and stores it in the checkpoint.

    Args:
        store: Samples.
        checkpoint: Directory with a stage 1 VLM; the head is added there.
        name: Name of the head.
        stage: Settings.
        directory: Run directory, resumable.
        features_dir: Cache of VLM features, shared by all heads and runs.
        start: Head of the checkpoint to continue from, None = fresh weights.
        show: Receives progress lines.
        evaluation_rows: Held-out rows per evaluation.
        device: Where to train, see `xr0_sim.model.compute.devices`.

    Returns:
        True when finished, False when interrupted.
    """
    checkpoint = Path(checkpoint)
    shared = load_config(checkpoint)
    if shared.action_length != store.meta.horizon:
        raise CheckpointError(
            f"checkpoint {checkpoint}: expected action_length {store.meta.horizon} as in the "
            f"store, got {shared.action_length}; train the VLM on this store"
        )
    head = stage.head
    config = XR0Config(
        **shared.to_dict()
        | {
            "action_window": head.action_window,
            "noisy_position_offset": head.noisy_position_offset,
            "prefix_max": longest_prefix(head.prefix),
        }
    )
    model = XR0ForActionGeneration(config)
    load_vlm(checkpoint, model.vlm)
    model.to(choose_device(device))
    features = FeatureStore(features_dir, store, model, XR0Processor(config), show)
    expert = model.expert
    if start is None:
        initialize_expert(expert, step_generator(stage.trainer.seed, 0))
    else:
        load_head(checkpoint, start, expert)
    normalizer = load_normalizer(checkpoint)
    tensors = ChunkTensors.from_store(store, normalizer, config.state_layout)
    rolled = RolledChunks(store, normalizer, config.state_layout)
    looks = EarlierLooks(store, head.look) if isinstance(head.look, EarlierLook) else None
    run = ExpertStage(expert, stage, features, tensors, normalizer, rolled, looks)

    training, validation = store.split(stage.validation_fraction)
    taught = store.column("valid_steps") > 0
    weights = store.column("weight")[training] * taught[training]
    weights = weights * (store.column("committed")[training] <= head.longest_commitment)
    order = SampleOrder(training, weights, stage.trainer.batch_size, stage.trainer.seed)
    held_out = validation[(taught & (store.column("committed") == 0))[validation]]
    held_out = held_out[:: max(1, len(held_out) // evaluation_rows)]

    def loss(step: int, micro: int) -> Mapping[str, Tensor]:
        generator = step_generator(stage.trainer.seed, step, micro, 1)
        return run.loss(order.batch(step, micro), generator)

    trainer = Trainer(
        stage.trainer,
        expert,
        loss,
        directory,
        (lambda: run.evaluate(held_out)) if len(held_out) else None,
        show,
    )
    finished = trainer.run()
    ranks = Ranks.present()
    if ranks.main:
        write_json(Path(directory) / RECIPE_FILE, head.recipe())
        with trainer.averaged():
            save_head(checkpoint, name, config, expert)
    ranks.wait()
    return finished
