"""One condition of an experiment: task, policy and switch positions, resolved to values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from envs.tasks import env_class, own_presets, register_events, task_spec
from envs.world import DEFAULT_WORLD, World, find_world
from experiments.options.network_options import say_once
from policies.table import policy_spec
from policies.xr0.checkpoints import Weights, find_checkpoint
from policies.xr0.fit import foreign_world
from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.grammar import split_fields
from xr0_sim.perturb.events import Event
from xr0_sim.perturb.registry import parse_events
from xr0_sim.plugins import loaded_plugins
from xr0_sim.registry import estimators, policies, strategies
from xr0_sim.runtime.latency.base import LatencyModel
from xr0_sim.runtime.latency.estimator import DelayEstimator
from xr0_sim.runtime.latency.presets import parse_latency
from xr0_sim.runtime.strategies.base import TRAINED_PREFIX_STEPS, Strategy
from xr0_sim.runtime.strategies.prefix_async import ALIGNMENTS


@dataclass(frozen=True)
class Condition:
    """Everything that decides an episode besides its seed.

    Attributes:
        env: Name in `xr0_sim.registry.tasks`.
        env_kwargs: Arguments of the environment, complete.
        policy: Text that names a policy of `xr0_sim.registry.policies`, with its fields.
        weights: Its network; None for policies without weights.
        strategy: Execution strategy.
        latency: True latency.
        estimator: What the controller believes about it.
        events: Events of every episode; its twin has none.
        max_ticks: Tick limit of an episode.
        plugins: Digests of the plug-ins that were loaded, by module.
        stall_ticks: Ticks without progress after which an episode ends as a failure; None for no
            such agreement.
    """

    env: str
    env_kwargs: Mapping[str, Any]
    policy: str
    weights: Weights | None
    strategy: Strategy
    latency: LatencyModel
    estimator: DelayEstimator
    events: tuple[Event, ...]
    max_ticks: int
    plugins: Mapping[str, str] = field(default_factory=dict)
    stall_ticks: int | None = None

    @property
    def label(self) -> str:
        """For captions, e.g. ``xr0 prefix_lambda | prefix async T_e=10 Δ≤6 | 80 ms``."""
        head = f" {self.weights.label}" if self.weights else ""
        return f"{self.policy}{head} | {self.strategy.label} | {self.latency.label}"

    @property
    def control_hz(self) -> int:
        """Control rate of the environment [Hz]."""
        return task_spec(self.env).rate(self.env_kwargs)

    @property
    def undisturbed(self) -> Condition:
        """The same without events."""
        return replace(self, events=())


def choose_strategy(
    text: str,
    execution_horizon: int | None,
    prefix_steps: int | None,
    alignment: str | None,
    policy: str,
    task: str,
    recorded: Callable[[], int | None] = lambda: None,
) -> Strategy:
    """Execution strategy from its text and the options that set its fields.

    Args:
        text: ``name[:field=value,...]`` of `xr0_sim.registry.strategies`.
        execution_horizon: Executed rows before the next inference; None for what suits the trained
            policy, else those of its task, or for the strategy's own.
        prefix_steps: Fixed prefix length; None for the strategy's own.
        alignment: ``report`` or ``readme``, see `PrefixAsync`; None for the strategy's own.
        policy: ``name[:field=value,...]`` of `xr0_sim.registry.policies`.
        task: Name in `xr0_sim.registry.tasks`.
        recorded: Rows that the weights were measured best with, where their record tells.
    """
    if alignment is not None and alignment not in ALIGNMENTS:
        raise unknown_name("alignment", alignment, ALIGNMENTS)
    text = strategies.canonical(text)
    name, _, given = text.partition(":")
    set_in_text = set(split_fields(given, f"strategy {name!r}"))
    plug = strategies[name]
    known = {f.name for f in fields(plug)} if is_dataclass(plug) else set()
    options = {
        "execution_horizon": ("--execution-horizon", execution_horizon),
        "prefix_steps": ("--prefix-steps", prefix_steps),
        "alignment": ("--alignment", alignment),
    }
    values: dict[str, Any] = {}
    for field_name, (option, value) in options.items():
        if value is None:
            continue
        if field_name not in known:
            takes = ", ".join(sorted(known)) or "none"
            raise ConfigError(
                f"{option}: strategy {name!r} has no {field_name}; its fields: {takes}"
            )
        if field_name in set_in_text:
            raise ConfigError(f"{option}: strategy {text!r} says it already; keep one")
        values[field_name] = value
    readme = "alignment=readme" in given.replace(" ", "") or alignment == "readme"
    if readme and "prefix_steps" not in {*values, *set_in_text}:
        values["prefix_steps"] = TRAINED_PREFIX_STEPS
    trained = policy_spec(policy).trained and getattr(plug, "takes_task_horizon", True)
    if trained and not readme and "execution_horizon" in known - {*values, *set_in_text}:
        values["execution_horizon"] = recorded() or task_spec(task).execution_horizon
    found = plug(**values) if isinstance(plug, type) and not given else strategies.parse(text)
    if values and (given or not isinstance(plug, type)):
        found = replace(found, **values)
    if not isinstance(found, Strategy):
        raise ConfigError(
            f"strategy {name!r}: expected a subclass of xr0_sim.runtime.Strategy, got {found!r}"
        )
    return found


def choose_estimator(text: str, delay_error: int) -> DelayEstimator:
    """Delay estimator from ``name[:field=value,...]`` and the error of its figure [ticks]."""
    if delay_error:
        name, _, given = text.partition(":")
        if "error_ticks" in split_fields(given, f"delay estimator {name!r}"):
            raise ConfigError(f"--delay-error: estimator {text!r} says it already; keep one")
        text = f"{name}:{given + ',' if given else ''}error_ticks={delay_error}"
    found = estimators.parse(text)
    estimator: DelayEstimator = found() if isinstance(found, type) else found
    return estimator


def choose_events(
    task: str,
    text: str,
    max_ticks: int | None = None,
    world: str | World = DEFAULT_WORLD,
    control_hz: int | None = None,
) -> tuple[Event, ...]:
    """Events from ``none`` or comma-separated ``NAME[:FIELD=VALUE,...][@TRIGGER]``.

    Args:
        task: Task they shall happen in; its phases and its own events are known.
        text: What shall happen.
        max_ticks: Tick limit of an episode; None leaves times unchecked.
        world: World of the episodes.
        control_hz: Control rate of the episodes [Hz]; None for the task's.

    Raises:
        ConfigError: An unknown event, or one that can never fire.
    """
    register_events(task)
    if text.strip() in ("", "none"):
        return ()
    from envs.events import check_events, in_world

    events = parse_events(in_world(own_presets(task, text), find_world(world)))
    check_events(events, env_class(task), max_ticks, world, control_hz)
    return events


def time_limit_ticks(env: str, env_kwargs: Mapping[str, Any], max_seconds: float | None) -> int:
    """Tick limit from seconds; by default that of the task."""
    if max_seconds is None:
        max_seconds = task_spec(env).seconds(env_kwargs)
    if not 0.1 <= max_seconds <= 3600:
        raise ConfigError(f"--max-seconds: expected 0.1 .. 3600, got {max_seconds:g}")
    return round(max_seconds * task_spec(env).rate(env_kwargs))


def stall_limit_ticks(stall_s: float, control_hz: int = CONTROL_HZ) -> int:
    """Ticks without progress from seconds."""
    if not 0.1 <= stall_s <= 3600:
        raise ConfigError(f"--stall-s: expected 0.1 .. 3600, got {stall_s:g}")
    return round(stall_s * control_hz)


def make_condition(
    *,
    env: str,
    env_kwargs: Mapping[str, Any],
    policy: str,
    weights: Weights | None,
    strategy: Strategy,
    latency: str,
    delay_error: int,
    event: str,
    max_seconds: float | None,
    estimator: str = "oracle",
    stall_s: float | None = None,
) -> Condition:
    """Checks every switch and resolves names to values."""
    latency_model = parse_latency(latency)
    max_ticks = time_limit_ticks(env, env_kwargs, max_seconds)
    world, control_hz = env_kwargs.get("world", DEFAULT_WORLD), task_spec(env).rate(env_kwargs)
    events = choose_events(env, event, max_ticks, world, control_hz)
    condition = Condition(
        env=env,
        env_kwargs=env_kwargs,
        policy=policies.canonical(policy),
        weights=weights,
        strategy=strategy,
        latency=latency_model,
        estimator=choose_estimator(estimator, delay_error),
        events=events,
        max_ticks=max_ticks,
        plugins={plugin.module: plugin.digest for plugin in loaded_plugins()},
        stall_ticks=None if stall_s is None else stall_limit_ticks(stall_s, control_hz),
    )
    missing = task_spec(env).missing()
    if missing:
        raise ConfigError(f"env {env!r}: {missing}")
    if weights is not None and "world" in env_kwargs:
        told = foreign_world(find_checkpoint(weights.checkpoint), env_kwargs["world"])
        if told:
            say_once(told)
    return condition
