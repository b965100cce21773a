"""What names on the command line stand for: tasks, policies, heads and executors.

Adding one is one entry in a table. Whatever is heavy is imported by the entry itself, when used.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policies.xr0.execution import EXECUTION_HORIZONS
from xr0_sim.errors import CheckpointError, ConfigError, unknown_name
from xr0_sim.perturb.registry import split_events
from xr0_sim.registry import look_up
from xr0_sim.runtime.strategies.base import Strategy
from xr0_sim.runtime.strategies.naive_async import NaiveAsync
from xr0_sim.runtime.strategies.prefix_async import PrefixAsync
from xr0_sim.runtime.strategies.sync import Sync

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv
    from xr0_sim.types import ChunkModel


DEFAULT_IMAGE_SIZE = 128


@dataclass(frozen=True)
class Task:
    """A task of `envs`.

    Attributes:
        module: Module of the environment.
        cls: Class in it.
        events: Module that registers the task's event presets.
        pieces: What throughput counts.
        count: Number of finished pieces from the info of a tick.
        execution_horizon: Executed rows before the next inference that suit policies trained on it.
        presets: Common name of an event preset -> the task's own, where they differ.
    """

    module: str
    cls: str
    events: str
    pieces: str
    count: Callable[[Mapping[str, Any]], int]
    execution_horizon: int
    presets: Mapping[str, str] = field(default_factory=dict)


TASKS: dict[str, Task] = {
    "block_dismantling": Task(
        module="envs.block_dismantling.env",
        cls="BlockDismantlingEnv",
        events="envs.block_dismantling.events",
        pieces="bricks",
        count=lambda info: info["bricks"].count("sorted"),
        execution_horizon=EXECUTION_HORIZONS["block_dismantling"],
    ),
    "towel_folding": Task(
        module="envs.towel_folding.env",
        cls="TowelFoldingEnv",
        events="envs.towel_folding.events",
        pieces="towels",
        count=lambda info: info["towels"][0] if "towels" in info else int(info["success"]),
        execution_horizon=EXECUTION_HORIZONS["towel_folding"],
        presets={"shove": "towel_shove"},
    ),
}


@dataclass(frozen=True)
class Policy:
    """A chunk model that is ready to be bound to an environment.

    Attributes:
        bind: Makes the model for the environment it will run in.
        image_size: Side of the pictures it wants [px].
        looks: Whether it wants pictures at all.
    """

    bind: Callable[[DualArmEnv], ChunkModel]
    image_size: int = DEFAULT_IMAGE_SIZE
    looks: bool = True


@dataclass(frozen=True)
class Weights:
    """Which weights a policy runs and how it computes with them.

    Attributes:
        checkpoint: Shipped name or path.
        digest: Which files these were, see `checkpoint_digest`.
        head: Action-expert head.
        temperature: Factor on its flow noise; None for the policy's own.
        precision: Number format of the network.
        device: Where the network runs, as torch names it.
        vlm_weights: How the VLM's weights are kept.
        compile: Whether the Euler step is compiled.
    """

    checkpoint: str
    digest: str
    head: str
    temperature: float | None
    precision: str
    device: str
    vlm_weights: str
    compile: bool


@dataclass(frozen=True)
class PolicyEntry:
    """How a policy is loaded.

    Attributes:
        load: From weights to the policy; None for policies without.
        trained: Whether it has a checkpoint, and heads in it.
    """

    load: Callable[[Weights | None], Policy]
    trained: bool = False


STRATEGY_NAMES: dict[str, Strategy] = {
    "sync": Sync(),
    "naive_async": NaiveAsync(),
    "prefix_async": PrefixAsync(),
}

HEAD_FOR: dict[type, str] = {Sync: "sync", NaiveAsync: "sync", PrefixAsync: "prefix_lambda"}
"""Head that was trained for an executor, used when none is asked for."""


def _expert(_: Weights | None) -> Policy:
    from policies.scripted.oracle import OracleChunkModel, SameMode

    return Policy(lambda env: OracleChunkModel(env, SameMode()), looks=False)


def _expert_redrawn(_: Weights | None) -> Policy:
    from policies.scripted.oracle import OracleChunkModel, RedrawnMode

    return Policy(lambda env: OracleChunkModel(env, RedrawnMode()), looks=False)


def _xr0(weights: Weights | None) -> Policy:
    import torch

    from policies.xr0.chunk_model import load_chunk_model

    if weights is None:
        raise ConfigError("policy 'xr0': expected weights to load, got none")
    # Sums depend on the number of threads; one thread keeps every worker bit-identical.
    torch.set_num_threads(1)
    chosen = {name: value for name, value in asdict(weights).items() if value is not None}
    del chosen["digest"]
    model = load_chunk_model(**chosen)
    return Policy(lambda env: model, image_size=model.image_size, looks=model.needs_images)


POLICIES: dict[str, PolicyEntry] = {
    "expert": PolicyEntry(_expert),
    "expert_redrawn": PolicyEntry(_expert_redrawn),
    "xr0": PolicyEntry(_xr0, trained=True),
}
"""``expert``: perfect planner, always the same way of doing the task; ``expert_redrawn``: the same
with a tempo of its own in every chunk, as a sampling policy draws a mode of its own."""


def register_events(task: str) -> None:
    """Makes the event presets of a task known."""
    name = look_up("env", task, TASKS).events
    import_module("xr0_sim.perturb.signals.cameras")
    if find_spec(name) is not None:
        import_module(name)


def own_preset(task: str, text: str) -> str:
    """Text of an event with a common preset name replaced by the task's own."""
    name = re.split("[:@]", text, maxsplit=1)[0]
    return TASKS[task].presets.get(name, name) + text[len(name) :]


def own_presets(task: str, text: str) -> list[str]:
    """`own_preset` of each of several, with commas."""
    return [own_preset(task, part) for part in split_events(text)]


def env_class(task: str) -> type[DualArmEnv]:
    """Class of a task's environment."""
    entry = look_up("env", task, TASKS)
    return getattr(import_module(entry.module), entry.cls)


def make_env(
    task: str, *, image_size: int = DEFAULT_IMAGE_SIZE, filmed: bool = False, **level: Any
) -> DualArmEnv:
    """Environment of a task; pictures are rendered only when somebody asks for them."""
    cls = env_class(task)
    mode = "rgb_array" if filmed else None
    return cls(observation="state", image_size=image_size, render_mode=mode, **level)


def default_checkpoint(task: str) -> str:
    """Shipped checkpoint for a task: the one named after it."""
    from assets import checkpoint_names

    names = checkpoint_names()
    fitting = [name for name in names if name.startswith(task)]
    if not fitting:
        raise CheckpointError(
            f"policy 'xr0': expected a shipped checkpoint named after env {task!r}, got "
            f"{', '.join(names) or 'none'}; train one, give --checkpoint PATH, or use --policy "
            "expert"
        )
    return fitting[0]


def checkpoint_path(name: str) -> Path:
    """Folder of a checkpoint given by shipped name or by path."""
    from assets import CHECKPOINT_DIR, checkpoint_names

    for path in (CHECKPOINT_DIR / name, Path(name)):
        if (path / "config.json").is_file():
            return path
    raise unknown_name("checkpoint", name, [*checkpoint_names(), "PATH"])


def checkpoint_heads(name: str) -> list[str]:
    """Action-expert heads a checkpoint holds."""
    return sorted(p.parent.name for p in checkpoint_path(name).glob("heads/*/config.json"))


def checkpoint_digest(name: str) -> str:
    """First 16 hex digits of the SHA-256 over a checkpoint's files, names included."""
    sha = hashlib.sha256()
    for file in sorted(checkpoint_path(name).rglob("*")):
        if file.is_file():
            sha.update(f"|{file.name}|".encode())
            sha.update(file.read_bytes())
    return sha.hexdigest()[:16]
