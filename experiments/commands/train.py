"""``xr0-sim train``: VLM, base expert and heads from a sample store; every stage resumable."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.commands.run_folder import (
    COMMANDS_FILE,
    FEATURES_DIR,
    begin_from_policy,
    experts_folder,
    policy_folder,
)
from xr0_sim.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    from xr0_sim.data.chunk_store import ChunkStore
    from xr0_sim.model.spec.config import XR0Config
    from xr0_sim.training.expert_training import ExpertStageConfig
    from xr0_sim.training.parallel import Ranks
    from xr0_sim.training.trainer import TrainerConfig
    from xr0_sim.training.vlm_training import VlmStageConfig

STAGES = ("vlm", "base", "heads")


@dataclass(frozen=True)
class TrainConfig:
    """Trains a policy; a stopped training goes on where it was, a finished stage is skipped.

    Attributes:
        data: Sample store of ``xr0-sim collect``.
        out: Run folder; the policy is OUT/vlm/checkpoint.
        stages: What to do, with commas: vlm, base (action expert), heads (one per strategy).
        label: Added to the names of the run folders of base and heads; a new one trains again,
            e.g. after new data has been collected.
        heads: Heads of the last stage, with commas.
        start: Head that the base continues from; "joint" is the VLM's companion, "fresh" none.
        head_start: Head that the heads of the last stage continue from.
        vlm_start: Shipped name or path of a checkpoint whose VLM is continued, e.g. after new
            data or from another task; empty = fresh.
        policy_start: Shipped name or path of a policy that heads are added to: OUT begins as a
            copy of it, with its record; without the stage vlm.
        preset: Model size.
        vlm_steps: Steps of the VLM.
        base_steps: Steps of the base.
        head_steps: Steps of each head, the same for all.
        batch_size: Frames per micro batch.
        accumulation: Micro batches per step; processes of torchrun share them.
        vlm_rate: Learning rate of the VLM.
        base_rate: Learning rate of the base.
        head_rate: Learning rate of the heads.
        correction_weight: How often a correction of the policy is drawn, per demonstration.
        source_weights: How often samples of single sources are drawn instead, per demonstration, as
            SOURCE=WEIGHT with commas, e.g. first_look=8. SOURCE@COMMIT=WEIGHT is for those labelled
            by the code of one commit, as ``xr0-sim dataset show`` prints them.
        validation: Share of episodes held out.
        vl_share: Share of the VLM's frames that are vision-language data, questions about the
            pictures; 0 none, 1 nothing else.
        flow_weight: Weight of the companion's flow loss while the VLM learns, beside those that
            its readouts weigh: what an action needs is written into the cache through it alone.
        flow_draws: Noise draws per frame of that loss.
        proposals: Candidate chunks that the VLM proposes while it learns; 0 none.
        threads: Threads of the matrix products.
        device: Where to train: cpu, cuda, cuda:N or auto.
        precision: Matrix products in float32 or bfloat16; auto takes bfloat16 where the device
            multiplies in it, since emulated it is many times slower.
        compile: Compile the action expert; needs a C++ compiler, pays off from 1000 steps on.
        log_every: Steps between two lines of the loss curve.
        tensorboard: Also write TensorBoard event files into the run's folders; needs the package
            tensorboard.
        seed: Seed of weights, noise and order.
    """

    data: str = "data/blocks"
    out: str = "runs/blocks"
    stages: str = "vlm,base,heads"
    label: str = ""
    heads: str = "sync,prefix,prefix_lambda"
    start: str = "joint"
    head_start: str = "base"
    vlm_start: str = ""
    policy_start: str = ""
    preset: str = "tiny"
    vlm_steps: int = 3000
    base_steps: int = 3000
    head_steps: int = 1500
    batch_size: int = 32
    accumulation: int = 1
    vlm_rate: float = 1e-3
    base_rate: float = 1e-3
    head_rate: float = 3e-4
    correction_weight: float = 2.0
    source_weights: str = ""
    validation: float = 0.05
    vl_share: float = 1 / 7
    flow_weight: float = 1.0
    flow_draws: int = 1
    proposals: int = 4
    threads: int = 2
    device: str = "cpu"
    precision: str = "auto"
    compile: bool = False
    log_every: int = 50
    tensorboard: bool = False
    seed: int = 0

    @property
    def checkpoint(self) -> Path:
        """The policy that is being trained."""
        return policy_folder(Path(self.out))


def run(config: TrainConfig) -> int:
    """Trains; returns the exit status, 130 when interrupted."""
    stages = config.stages.split(",")
    for stage in stages:
        if stage not in STAGES:
            raise unknown_name("training stage", stage, STAGES)
    if not 1 <= config.threads <= 256:
        raise ConfigError(f"--threads: expected 1 .. 256, got {config.threads}")
    if not 0.0 <= config.vl_share <= 1.0:
        raise ConfigError(f"--vl-share: expected 0 .. 1, got {config.vl_share}")
    if not 0.0 <= config.flow_weight < np.inf:
        raise ConfigError(f"--flow-weight: expected a number >= 0, got {config.flow_weight}")
    if not 1 <= config.flow_draws <= 64:
        raise ConfigError(f"--flow-draws: expected 1 .. 64, got {config.flow_draws}")
    if not 0 <= config.proposals <= 64:
        raise ConfigError(f"--proposals: expected 0 .. 64, got {config.proposals}")
    _check_starts(config, stages)
    import torch

    from xr0_sim.model.compute.devices import choose_device, prepare_compiler
    from xr0_sim.model.compute.precision import choose_training_precision
    from xr0_sim.training.parallel import joined
    from xr0_sim.training.posttrain import head_config

    choose_training_precision(config.precision, choose_device(config.device))
    if config.compile:
        prepare_compiler()
    for head in config.heads.split(","):
        head_config(head)
    torch.set_num_threads(config.threads)
    with joined() as ranks:
        return _train(config, stages, ranks)


def _check_starts(config: TrainConfig, stages: list[str]) -> None:
    """Rejects stages whose start is not there, before anything is computed for them."""
    from policies.xr0.checkpoints import find_checkpoint

    if config.vlm_start:
        if "vlm" not in stages:
            raise ConfigError(
                f"--vlm-start: expected the stage vlm, which continues it, in --stages, got "
                f"{config.stages!r}; use --stages vlm,{config.stages}, or leave --vlm-start out"
            )
        find_checkpoint(config.vlm_start)
    heads = config.heads.split(",")
    if "heads" in stages and len(heads) > 1 and config.head_start in heads:
        raise ConfigError(
            f"--head-start {config.head_start}: expected a head that is not trained itself, since "
            f"the others start from it, got it in --heads {config.heads}; train it by itself"
        )
    policy = config.checkpoint
    if config.policy_start:
        if "vlm" in stages:
            raise ConfigError(
                f"--policy-start: expected --stages without vlm, which it brings along, got "
                f"{config.stages!r}; use --vlm-start to go on with its VLM"
            )
        policy = find_checkpoint(config.policy_start)
    made = {"joint"} if "vlm" in stages else _heads_in(policy) | _heads_in(config.checkpoint)
    if "vlm" not in stages and not (policy / "config.json").is_file():
        raise ConfigError(
            f"--stages {config.stages}: expected a VLM in {policy}, found none; train "
            f"it first with --stages vlm,{config.stages}"
        )
    for stage, start in (("base", config.start), ("heads", config.head_start)):
        if stage in stages and start != "fresh" and start not in made:
            raise ConfigError(
                f"--stages {config.stages}: expected head {start!r} in {policy} to "
                f"start {stage} from, got {', '.join(sorted(made)) or 'none'}; "
                + (
                    "train it with --stages base,heads, or see --head-start"
                    if stage == "heads"
                    else "see --start"
                )
            )
        made = made | ({stage} & set(stages))


def _heads_in(checkpoint: Path) -> set[str]:
    return {file.parent.name for file in checkpoint.glob("heads/*/config.json")}


def _train(config: TrainConfig, stages: list[str], ranks: Ranks) -> int:
    """Trains as one of `ranks`."""
    from policies.xr0.checkpoints import find_checkpoint
    from xr0_sim.data.chunk_store import ChunkStore
    from xr0_sim.model.policy_loading import load_policy_model
    from xr0_sim.training.source_weights import weigh_sources

    _trainer(config, steps=1, rate=config.base_rate)  # refuses sizes before anything is written
    ranks.micros(config.accumulation)
    store = ChunkStore(Path(config.data))
    weigh_sources(store, config.correction_weight, config.source_weights)
    _say(f"{len(store)} samples of {config.data}")
    if "vlm" in stages:
        _model(config, store)  # what does not fit is refused before anything is written
    if ranks.main:
        if config.policy_start:
            begin_from_policy(Path(config.out), find_checkpoint(config.policy_start))
        _note(config, store)
    ranks.wait()
    for name in [stage for stage in STAGES if stage in stages]:
        if not _RUNNERS[name](config, store):
            _say("stopped; the same command goes on from here")
            return 130
    head = config.heads.split(",")[0] if "heads" in stages else "base"
    if "vlm" not in stages or len(stages) > 1:
        size = sum(p.numel() for p in load_policy_model(config.checkpoint, head).model.parameters())
        _say(f"{config.checkpoint}: {size / 1e6:.1f} M weights with head {head!r}")
    return 0


def train_vlm_stage(config: TrainConfig, store: ChunkStore) -> bool:
    """Stage 1, from random weights or from an earlier VLM."""
    from policies.supervision.table import lesson
    from policies.xr0.checkpoints import find_checkpoint
    from xr0_sim.training.vlm_training import VlmLossWeights, VlmStageConfig, train_vlm

    stage: VlmStageConfig = VlmStageConfig(
        _trainer(config, config.vlm_steps, config.vlm_rate),
        weights=VlmLossWeights(flow=config.flow_weight),
        flow_draws=config.flow_draws,
        validation_fraction=config.validation,
        question_share=config.vl_share,
    )
    taught = lesson(store.meta.provenance.get("env", "block_dismantling"))
    return train_vlm(
        store,
        _model(config, store),
        stage,
        Path(config.out) / "vlm",
        _say,
        sentences=taught.sentence,
        start=find_checkpoint(config.vlm_start) if config.vlm_start else None,
        questions=taught.questions,
        device=config.device,
    )


def train_base_stage(config: TrainConfig, store: ChunkStore) -> bool:
    """Stage 2: the action expert without a prefix."""
    from xr0_sim.training.expert_training import BASE_HEAD

    start = None if config.start == "fresh" else config.start
    return _post(config, store, (BASE_HEAD,), config.base_steps, config.base_rate, start)


def train_head_stage(config: TrainConfig, store: ChunkStore) -> bool:
    """Stage 3: one head per strategy, all from one start."""
    names = tuple(config.heads.split(","))
    start = None if config.head_start == "fresh" else config.head_start
    return _post(config, store, names, config.head_steps, config.head_rate, start)


_RUNNERS: dict[str, Callable[[TrainConfig, ChunkStore], bool]] = {
    "vlm": train_vlm_stage,
    "base": train_base_stage,
    "heads": train_head_stage,
}


def _post(
    config: TrainConfig,
    store: ChunkStore,
    names: tuple[str, ...],
    steps: int,
    rate: float,
    start: str | None,
) -> bool:
    from xr0_sim.training.expert_training import ExpertStageConfig
    from xr0_sim.training.posttrain import posttrain

    stage: ExpertStageConfig = ExpertStageConfig(
        _trainer(config, steps, rate),
        validation_fraction=config.validation,
        compile=config.compile,
    )
    directory = experts_folder(Path(config.out), config.label)
    features = Path(config.out) / FEATURES_DIR
    return posttrain(
        *(store, config.checkpoint, names, stage, directory, features, start, _say),
        device=config.device,
    )


def _trainer(config: TrainConfig, steps: int, rate: float) -> TrainerConfig:
    from xr0_sim.training.trainer import TrainerConfig

    return TrainerConfig(
        steps=steps,
        learning_rate=rate,
        warmup_steps=min(200, max(1, steps // 10)),
        batch_size=config.batch_size,
        accumulation=config.accumulation,
        seed=config.seed,
        log_every=config.log_every,
        eval_every=500,
        save_every=250,
        precision=config.precision,
        tensorboard=config.tensorboard,
    )


def _model(config: TrainConfig, store: ChunkStore) -> XR0Config:
    from xr0_sim.model.spec.presets import preset_config

    model = preset_config(
        config.preset,
        action_length=store.meta.horizon,
        state_layout="motion",
        proposals=config.proposals,
    )
    if model.image_size != store.meta.image_size:
        raise ConfigError(
            f"--data {config.data}: expected pictures of {model.image_size} px for preset "
            f"{config.preset!r}, got {store.meta.image_size}; collect with --image-size "
            f"{model.image_size}"
        )
    return model


def _note(config: TrainConfig, store: ChunkStore) -> None:
    """Adds what is trained, on what, by which code, to the run's list of commands."""
    from dataclasses import asdict

    from xr0_sim.record.runcard import installed_versions, source_commit

    source, seed = store.column("source"), store.column("episode_seed")
    commits = store.commits()
    data = {
        name: {
            "samples": int((source == i).sum()),
            "episodes": len(np.unique(seed[source == i])),
            "seeds": [int(seed[source == i].min()), int(seed[source == i].max())],
            "labelled_by": np.unique(commits[source == i]).tolist(),
        }
        for i, name in enumerate(store.sources)
    }
    note = {
        "commit": source_commit(),
        "config": asdict(config),
        "data": data,
        "versions": installed_versions(),
    }
    path = Path(config.out) / COMMANDS_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(note, sort_keys=True) + "\n")


def _say(line: str) -> None:
    from xr0_sim.training.parallel import Ranks

    if Ranks.present().main:
        print(line, file=sys.stderr, flush=True)
