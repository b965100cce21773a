"""Stage 1: the VLM learns to see and to relate to actions, from random initialisation.

Losses, with their weights in `VlmLossWeights`:

* grounding readout (points, regressions, classes): `xr0_sim.model.auxiliary.grounding`;
* Action Proposal head: `xr0_sim.model.auxiliary.proposal`;
* language drill (optional): the grounding classes that an instruction decides, asked for fresh
  sentences without pictures: `xr0_sim.training.instruction_loss`;
* questions about the pictures (optional), a share of the frames of every batch:
  `xr0_sim.training.vqa_loss`;
* the flow loss of a jointly trained action expert, whose gradient enters the VLM through the
  cache and shapes exactly what later heads will read. That expert can start stage 2.

At the end the averaged VLM is written (float16) as a checkpoint without heads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xr0_sim.data.chunk_store import ChunkStore
from xr0_sim.errors import ConfigError
from xr0_sim.model.action_expert.flow import FlowLossConfig, FlowTargets, flow_loss
from xr0_sim.model.auxiliary.grounding import EARLY_LAYER, GroundingHead
from xr0_sim.model.auxiliary.grounding_spec import GroundingSpec
from xr0_sim.model.auxiliary.proposal import ProposalHead, proposal_loss
from xr0_sim.model.auxiliary.vqa import QuestionWriter
from xr0_sim.model.checkpoints.manifest import GROUNDING_FILE
from xr0_sim.model.checkpoints.shipped import (
    head_names,
    load_config,
    load_head,
    load_normalizer,
    load_vlm,
    load_weights,
    save_grounding,
    save_head,
    save_normalizer,
    save_vlm,
)
from xr0_sim.model.compute.devices import DEFAULT_DEVICE, choose_device
from xr0_sim.model.initialization import initialize_expert, initialize_vlm
from xr0_sim.model.spec.config import XR0Config
from xr0_sim.model.spec.normalizer import Normalizer
from xr0_sim.model.vla import XR0ForActionGeneration
from xr0_sim.model.vlm.cache import VlmCache
from xr0_sim.model.vlm.forward import forward
from xr0_sim.model.vlm.images import normalize_pixels, patchify
from xr0_sim.model.vlm.processor import XR0Processor
from xr0_sim.training.augment import (
    AugmentConfig,
    draw_shifts,
    jitter_colors,
    shift_images,
    shift_targets,
)
from xr0_sim.training.chunk_tensors import ChunkTensors, fit_normalizer
from xr0_sim.training.instruction_loss import LanguageDrill, SentenceSource
from xr0_sim.training.parallel import Ranks
from xr0_sim.training.schedule import SampleOrder, step_generator
from xr0_sim.training.trainer import Trainer, TrainerConfig
from xr0_sim.training.vqa_loss import QUESTION_SHARE, VisualQuestions

JOINT_HEAD = "joint"
"""Name under which the expert of stage 1 is stored."""


@dataclass(frozen=True)
class VlmLossWeights:
    """Weight of each loss term; zero leaves its module out."""

    pointing: float = 1.0
    offset: float = 4.0
    regression: float = 2.0
    lift: float = 4.0
    early_lift: float = 4.0
    classes: float = 0.5
    proposal: float = 0.5
    score: float = 0.1
    flow: float = 1.0
    drill: float = 1.0
    questions: float = 0.5


@dataclass(frozen=True)
class VlmStageConfig:
    """Settings of stage 1.

    Attributes:
        trainer: Loop settings.
        weights: Loss weights.
        augment: Image augmentation.
        flow_draws: Noise draws per frame of the joint flow loss.
        drill_sentences: Sentences of the language drill per step.
        question_share: Share of the frames that questions are asked about instead of robot losses;
            1 trains on vision-language data alone.
        validation_fraction: Share of episodes held out.
    """

    trainer: TrainerConfig
    weights: VlmLossWeights = field(default_factory=VlmLossWeights)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    flow_draws: int = 1
    drill_sentences: int = 12
    question_share: float = QUESTION_SHARE
    validation_fraction: float = 0.05


class VlmStage(nn.Module):
    """Everything stage 1 trains, and its loss."""

    def __init__(
        self,
        config: XR0Config,
        stage: VlmStageConfig,
        store: ChunkStore,
        tensors: ChunkTensors,
        sentences: SentenceSource | None = None,
        questions: QuestionWriter | None = None,
    ) -> None:
        super().__init__()
        if not 0.0 <= stage.question_share <= 1.0:
            raise ConfigError(f"question_share: expected 0 .. 1, got {stage.question_share}")
        spec = GroundingSpec.from_dict(config.grounding or {})
        if spec.width != store.meta.grounding_dim:
            raise ConfigError(
                f"grounding: expected the store's width {store.meta.grounding_dim}, got "
                f"{spec.width}; take the spec from store.meta.grounding"
            )
        self.stage, self.store, self.tensors, self.spec = stage, store, tensors, spec
        self.processor = XR0Processor(config, cameras=store.meta.cameras)
        self._drill = None
        if sentences is not None and stage.weights.drill > 0:
            self._drill = LanguageDrill(sentences, self.processor, stage.drill_sentences)
        vision = config.vlm_config.vision_config
        self._patching = (vision.patch_size, vision.spatial_merge_size, vision.temporal_patch_size)
        self._questions = None
        if questions is not None and stage.question_share > 0 and stage.weights.questions > 0:
            self._questions = VisualQuestions(questions, store, self.processor)
        tokens = store.meta.image_size // vision.patch_size // vision.spatial_merge_size
        model = XR0ForActionGeneration(config)
        generator = step_generator(stage.trainer.seed, 0)
        initialize_vlm(model.vlm, generator)
        initialize_expert(model.expert, generator)
        self.vlm = model.vlm
        self.config = config
        self.expert = model.expert if stage.weights.flow > 0 else None
        hidden = config.vlm_config.text_config.hidden_size
        with torch.random.fork_rng():
            torch.manual_seed(stage.trainer.seed)  # torch's own layer initialisation
            self.grounding = GroundingHead(spec, hidden, len(store.meta.cameras), (tokens, tokens))
            self.proposal = None
            if config.proposals and stage.weights.proposal > 0:
                self.proposal = ProposalHead(
                    hidden,
                    config.state_dim,
                    config.proposals,
                    config.action_length,
                    config.action_dim,
                )

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.vlm.device

    def load(self, checkpoint: Path) -> None:
        """Takes VLM, grounding readout (if it reads the same) and an action expert over.

        The expert is the joint head or, in a checkpoint that ships, which keeps none, its first
        head: XR-0's stage 2 went on from the joint one.
        """
        load_vlm(checkpoint, self.vlm)
        if _same_task(checkpoint, self.config):
            load_weights(checkpoint / GROUNDING_FILE, self.grounding)
        heads = head_names(checkpoint)
        if self.expert is not None and heads:
            load_head(checkpoint, JOINT_HEAD if JOINT_HEAD in heads else heads[0], self.expert)

    def loss(
        self, rows: NDArray[np.integer], generator: torch.Generator, augment: bool = True
    ) -> dict[str, Tensor]:
        """Weighted loss and its terms on store rows; the first of them are asked about."""
        asked = round(self.stage.question_share * len(rows)) if self._questions else 0
        terms = self._robot_terms(rows[asked:], generator, augment) if asked < len(rows) else {}
        if self._questions is not None and asked:
            terms["questions"] = self._questions.loss(self.vlm, rows[:asked], _numpy_rng(generator))
        total = sum(getattr(self.stage.weights, name) * term for name, term in terms.items())
        return {"loss": total, **terms}

    def _robot_terms(
        self, rows: NDArray[np.integer], generator: torch.Generator, augment: bool
    ) -> dict[str, Tensor]:
        device = self.device
        target = torch.from_numpy(self.store.column("grounding")[rows])
        mask = torch.from_numpy(self.store.column("grounding_mask")[rows])
        images = torch.from_numpy(self.store.images(rows)).flatten(0, 1).float()
        moved = torch.zeros(len(rows), dtype=torch.bool)
        if augment:
            shifts = draw_shifts(
                len(rows), len(self.store.meta.cameras), self.stage.augment, generator
            )
            moved = (shifts != 0).flatten(1).any(1)
            images = shift_images(images, shifts.flatten(0, 1))
            images = jitter_colors(images, self.stage.augment, generator)
            cameras = torch.tensor([camera for _, camera in self.spec.points], dtype=torch.long)
            target, mask = shift_targets(target, mask, shifts, cameras, self.store.meta.image_size)
        instructions = self.store.column("instruction")[rows]
        inputs = self.processor.assemble(
            patchify(normalize_pixels(images), *self._patching),
            (images.shape[1], images.shape[2]),
            [self.store.instructions[i] for i in instructions],
        ).to(device)
        before, cache = forward(self.vlm, inputs, self.config.dit_config.num_hidden_layers)
        last = inputs.last_tokens(before[-1])
        early, visual = (
            x.flatten(0, 1)[inputs.image_index].unflatten(0, (len(rows), -1))
            for x in (before[min(EARLY_LAYER, len(before) - 1)], before[-1])
        )
        read = self.grounding(last, visual, early)
        terms = self.grounding.loss(read, target.to(device), mask.to(device))
        terms |= self._action_terms(rows, ~moved, last, cache, generator)
        if self._drill is not None:
            layers = self.config.dit_config.num_hidden_layers
            rng = _numpy_rng(generator)
            terms["drill"] = self._drill.loss(self.vlm, self.grounding, rng, layers)
        return terms

    def _action_terms(
        self,
        rows: NDArray[np.integer],
        fits: Tensor,
        last: Tensor,
        cache: VlmCache,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Proposal and flow terms, over the frames (F,) that fit their chunk and have one."""
        taught = fits & (self.tensors.valid_steps[torch.from_numpy(np.asarray(rows))] > 0)
        index = torch.from_numpy(np.asarray(rows))[taught]
        if len(index) == 0:
            zero = last.sum() * 0.0
            names = ("proposal", "score") if self.proposal is not None else ()
            return dict.fromkeys((*names, *(("flow",) if self.expert is not None else ())), zero)
        device = self.device
        kept = taught.nonzero().squeeze(1).to(device)
        state = self.tensors.state[index].to(device)
        actions = self.tensors.actions[index].to(device)
        valid = self.tensors.valid(index).to(device)
        terms: dict[str, Tensor] = {}
        if self.proposal is not None:
            candidates, scores = self.proposal(last[kept], state)
            terms |= proposal_loss(candidates, scores, actions, valid)
        if self.expert is not None:
            none = torch.zeros(len(index), dtype=torch.long, device=device)
            targets = FlowTargets(actions, valid, actions, none)
            settings = FlowLossConfig(draws=self.stage.flow_draws)
            seen = cache.select(kept)
            terms["flow"] = flow_loss(self.expert, seen, state, targets, settings, generator).mean()
        return terms

    @torch.no_grad()
    def evaluate(self, rows: NDArray[np.integer]) -> dict[str, float]:
        """Loss terms on held-out rows, without augmentation."""
        sums: dict[str, float] = {}
        size = self.stage.trainer.batch_size
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            with self.stage.trainer.autocast(self.device):
                terms = self.loss(part, step_generator(0, start), augment=False)
            for name, value in terms.items():
                sums[f"val_{name}"] = sums.get(f"val_{name}", 0.0) + float(value) * len(part)
        return {name: value / max(1, len(rows)) for name, value in sums.items()}


def _numpy_rng(generator: torch.Generator) -> np.random.Generator:
    """A NumPy generator seeded by the next draw of a torch one."""
    return np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))


def _same_task(checkpoint: Path, config: XR0Config) -> bool:
    """Whether a checkpoint reads the same things out of pictures, so that its statistics fit."""
    earlier = load_config(checkpoint).grounding or {}
    return GroundingSpec.from_dict(earlier) == GroundingSpec.from_dict(config.grounding or {})


def train_vlm(
    store: ChunkStore,
    config: XR0Config,
    stage: VlmStageConfig,
    directory: Path,
    show: Callable[[str], None] = print,
    evaluation_rows: int = 512,
    sentences: SentenceSource | None = None,
    start: Path | None = None,
    questions: QuestionWriter | None = None,
    device: str = DEFAULT_DEVICE,
) -> bool:
    """Runs stage 1 and writes the checkpoint ``directory/checkpoint``.

    Args:
        store: Samples; ``store.meta.grounding`` describes their grounding vectors.
        config: Sizes; its grounding is taken from the store when it has none.
        stage: Settings.
        directory: Run directory, resumable.
        show: Receives progress lines.
        evaluation_rows: Held-out rows per evaluation.
        sentences: Draws instructions for the language drill; None leaves it out.
        start: Checkpoint whose VLM, readout and expert are continued; None = fresh weights.
            One of another task, whose readout differs, gives its VLM and expert only.
        questions: Writes questions about frames; None leaves them out.
        device: Where to train, see `xr0_sim.model.compute.devices`.

    Returns:
        True when finished, False when interrupted.
    """
    if config.grounding is None:
        values = config.to_dict() | {"grounding": store.meta.grounding}
        config = XR0Config(**values)
    training, validation = store.split(stage.validation_fraction)
    if start is None or not _same_task(Path(start), config):
        normalizer = fit_normalizer(store, training, config.state_layout)
    else:
        normalizer = load_normalizer(Path(start))
    tensors = ChunkTensors.from_store(store, normalizer, config.state_layout)
    module = VlmStage(config, stage, store, tensors, sentences, questions)
    if start is not None:
        module.load(Path(start))
    module.to(choose_device(device))
    # Behind a committed prefix the right chunk depends on what the VLM cannot see.
    free = store.column("committed") == 0
    weights = store.column("weight")[training] * free[training]
    order = SampleOrder(training, weights, stage.trainer.batch_size, stage.trainer.seed)
    validation = validation[free[validation]]
    held_out = validation[:: max(1, len(validation) // evaluation_rows)]

    def loss(step: int, micro: int) -> Mapping[str, Tensor]:
        generator = step_generator(stage.trainer.seed, step, micro, 1)
        return module.loss(order.batch(step, micro), generator)

    trainer = Trainer(
        stage.trainer,
        module,
        loss,
        directory,
        (lambda: module.evaluate(held_out)) if len(held_out) else None,
        show,
    )
    finished = trainer.run()
    ranks = Ranks.present()
    if ranks.main:
        with trainer.averaged():
            _write(Path(directory) / "checkpoint", config, module, normalizer)
    ranks.wait()
    return finished


def _task(store: ChunkStore) -> str | None:
    """Task that a store was collected in, without the arguments of its environment."""
    env = store.meta.provenance.get("env")
    return None if env is None else str(env).partition(":")[0]


def _world(store: ChunkStore) -> str | None:
    """World that a store was collected in; None for stores that do not tell."""
    world = store.meta.provenance.get("env_kwargs", {}).get("world")
    return None if world is None else str(world)


def _write(target: Path, config: XR0Config, module: VlmStage, normalizer: Normalizer) -> None:
    """Writes VLM, readout and joint head as they are now."""
    store = module.store
    told, world = store.instructions, _world(store)
    save_vlm(target, config, module.vlm, _task(store), instructions=told, world=world)
    save_grounding(target, module.grounding)
    save_normalizer(target, normalizer)
    if module.expert is not None:
        save_head(target, JOINT_HEAD, config, module.expert)
