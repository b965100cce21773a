"""The policies by name: a chunk model and what it needs, ready to be bound to an environment.

A policy of one's own is one class in a plug-in::

    @xr0_sim.registry.policies.register("wave")
    @dataclass(frozen=True)
    class Wave(PolicySpec):
        speed: float = 1.0
        looks: ClassVar[bool] = False

        def bind(self, env):
            return WaveChunkModel(self.speed)

``--policy wave:speed=2`` then runs it. A chunk model that needs no arguments may be registered as
it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.errors import ConfigError
from xr0_sim.registry import policies

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv
    from policies.xr0.checkpoints import Weights
    from xr0_sim.types import ChunkModel


@dataclass(frozen=True)
class Policy:
    """A policy whose weights are loaded.

    Attributes:
        bind: Makes the chunk model for the environment it will run in.
        image_size: Side of the pictures it wants [px]; None for the world's.
        looks: Whether it wants pictures at all.
    """

    bind: Callable[[DualArmEnv], ChunkModel]
    image_size: int | None = None
    looks: bool = True


@dataclass(frozen=True)
class PolicySpec:
    """Base of the policies in the registry: a frozen dataclass with `bind`, or with `load`.

    Attributes:
        trained: Whether it has a checkpoint, and heads in it.
        looks: Whether it wants pictures.
        image_size: Side of the pictures it wants [px]; None for the world's.
        rehearses: Whether it plays on in the simulator of the episode, so that it cannot be served.
    """

    trained: ClassVar[bool] = False
    looks: ClassVar[bool] = True
    rehearses: ClassVar[bool] = False
    image_size: ClassVar[int | None] = None

    def bind(self, env: DualArmEnv) -> ChunkModel:
        """The chunk model for an environment; called once per episode."""
        raise ConfigError(f"{type(self).__name__}: expected a method bind(env) or load(weights)")

    def load(self, weights: Weights | None) -> Policy:
        """The policy, loaded once per process; `bind` as it is by default.

        Args:
            weights: Its network; None for policies without.
        """
        return Policy(self.bind, self.image_size, self.looks)


@dataclass(frozen=True)
class Oracle(PolicySpec):
    """The scripted expert's exact future as chunks: a perfect planner with latency."""

    looks: ClassVar[bool] = False
    rehearses: ClassVar[bool] = True

    def bind(self, env: DualArmEnv) -> ChunkModel:
        """See `PolicySpec.bind`."""
        from policies.scripted.oracle import OracleChunkModel, SameMode

        return OracleChunkModel(env, SameMode())


@dataclass(frozen=True)
class OracleRandomSpeed(PolicySpec):
    """The oracle with a speed of its own in every chunk, as a sampling policy draws a mode.

    Attributes:
        slowest: Lower end of the uniform speed factor.
        fastest: Upper end.
    """

    looks: ClassVar[bool] = False
    rehearses: ClassVar[bool] = True

    slowest: float = 0.55
    fastest: float = 1.1

    def bind(self, env: DualArmEnv) -> ChunkModel:
        """See `PolicySpec.bind`."""
        from policies.scripted.oracle import OracleChunkModel, RedrawnMode

        return OracleChunkModel(env, RedrawnMode(self.slowest, self.fastest))


@dataclass(frozen=True)
class XR0(PolicySpec):
    """A trained checkpoint: VLM, action expert and the head of a strategy."""

    trained: ClassVar[bool] = True

    def load(self, weights: Weights | None) -> Policy:
        """See `PolicySpec.load`."""
        import torch

        from envs.control_rate import check_recorded_rate
        from policies.xr0.loading import load_chunk_model
        from policies.xr0.released_model import drives_one_arm

        if weights is None:
            raise ConfigError("policy 'xr0': expected weights to load, got none")
        # Sums depend on the number of threads; one thread keeps every worker bit-identical.
        torch.set_num_threads(1)
        if drives_one_arm(weights):
            from policies.xr0.single_arm import load_single_arm

            arm = load_single_arm(weights)
            return Policy(lambda env: arm)
        chosen = {name: value for name, value in asdict(weights).items() if value is not None}
        for fact in ("digest", "trained_window"):
            chosen.pop(fact, None)
        model = load_chunk_model(**chosen)
        model.said_so()  # by the command line, once, in `WeightOptions.weights_of`

        def bind(env: DualArmEnv | None) -> ChunkModel:
            if env is not None:  # a model that answers beside a loop has none
                check_recorded_rate(env.control_hz, CONTROL_HZ, "policy xr0")
            return model

        return Policy(bind, image_size=model.image_size, looks=model.needs_images)


policies.add("xr0", XR0, "XR-0 report, arXiv 2602.12684; trained on this project's tasks")
policies.add("oracle", Oracle, "the scripted expert, rehearsed in the simulator")
policies.add("oracle_random_speed", OracleRandomSpeed, "the oracle, one speed per chunk")
policies.add(
    "remote",
    "policies.remote.policy:Remote",
    "a policy behind a websocket, the protocol of openpi (`xr0-sim serve`, or another server)",
)
policies.add(
    "rl_separate",
    "policies.rl.policy:RlSeparate",
    "an agent of `xr0-sim train-rl` that takes bricks apart, rehearsed in the simulator",
)
policies.alias("expert", "oracle")
policies.alias("expert_redrawn", "oracle_random_speed")


def _plain(model: Any) -> PolicySpec:
    """Spec of a chunk model class that was registered without one; made anew per episode."""
    looks = bool(getattr(model, "needs_images", True))
    members = {"looks": looks, "bind": lambda self, env: model()}
    spec: PolicySpec = type(model.__name__, (PolicySpec,), members)()
    return spec


def policy_spec(text: str) -> PolicySpec:
    """Policy from ``name[:field=value,...]``.

    Raises:
        ConfigError: Unknown name or field, or something registered that is no policy.
    """
    name = text.partition(":")[0]
    plug = policies[name]
    if isinstance(plug, type) and hasattr(plug, "infer") and not issubclass(plug, PolicySpec):
        return _plain(plug)
    found = policies.parse(text)
    if isinstance(found, type) and issubclass(found, PolicySpec):
        found = found()
    if not isinstance(found, PolicySpec):
        raise ConfigError(
            f"policy {name!r}: expected a policies.table.PolicySpec or a chunk model class, got "
            f"{found!r}"
        )
    return found
