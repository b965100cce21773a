"""What names on the command line stand for: policies, heads and executors.

Adding one is one entry in a table. Whatever is heavy is imported by the entry itself, when used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from envs.tasks import DEFAULT_IMAGE_SIZE
from policies.xr0.checkpoints import Weights
from xr0_sim.errors import ConfigError
from xr0_sim.runtime.strategies.base import Strategy
from xr0_sim.runtime.strategies.naive_async import NaiveAsync
from xr0_sim.runtime.strategies.prefix_async import PrefixAsync
from xr0_sim.runtime.strategies.sync import Sync

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv
    from xr0_sim.types import ChunkModel


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
