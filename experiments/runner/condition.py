"""One condition of an experiment: task, policy and switch positions, resolved to values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from experiments.options.catalog import (
    POLICIES,
    STRATEGY_NAMES,
    TASKS,
    Weights,
    env_class,
    own_presets,
    register_events,
)
from experiments.options.task_options import LEVELS
from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.perturb.events import Event
from xr0_sim.perturb.registry import parse_events
from xr0_sim.registry import look_up
from xr0_sim.runtime.latency.base import LatencyModel
from xr0_sim.runtime.latency.estimator import DelayEstimator, TrueDelay
from xr0_sim.runtime.latency.presets import parse_latency
from xr0_sim.runtime.strategies.base import Strategy
from xr0_sim.runtime.strategies.prefix_async import ALIGNMENTS, TRAINED_PREFIX_STEPS, PrefixAsync


@dataclass(frozen=True)
class Condition:
    """Everything that decides an episode besides its seed.

    Attributes:
        env: Key of `experiments.options.catalog.TASKS`.
        level: Arguments of the environment, complete.
        policy: Key of `experiments.options.catalog.POLICIES`.
        weights: Its network; None for policies without weights.
        strategy: Execution strategy.
        latency: True latency.
        estimator: What the controller believes about it.
        events: Events of every episode; its twin has none.
        max_ticks: Tick limit of an episode.
    """

    env: str
    level: Mapping[str, Any]
    policy: str
    weights: Weights | None
    strategy: Strategy
    latency: LatencyModel
    estimator: DelayEstimator
    events: tuple[Event, ...]
    max_ticks: int

    @property
    def label(self) -> str:
        """For captions, e.g. ``xr0 prefix_lambda | prefix async T_e=10 Δ≤6 | 80 ms``."""
        head = f" {self.weights.head}" if self.weights else ""
        return f"{self.policy}{head} | {self.strategy.label} | {self.latency.label}"

    @property
    def undisturbed(self) -> Condition:
        """The same without events."""
        return replace(self, events=())


def choose_strategy(
    name: str,
    execution_horizon: int | None,
    prefix_steps: int | None,
    alignment: str,
    policy: str,
    task: str,
) -> Strategy:
    """Execution strategy from its name and its switches.

    Args:
        name: Key of `experiments.options.catalog.STRATEGY_NAMES`.
        execution_horizon: Executed rows before the next inference; None for what suits the task's
            trained policies, or for the executor's own.
        prefix_steps: Fixed prefix length; None for as long as the estimated delay.
        alignment: ``report`` or ``readme``, see `PrefixAsync`.
        policy: Key of `experiments.options.catalog.POLICIES`.
        task: Key of `experiments.options.catalog.TASKS`.
    """
    strategy = look_up("strategy", name, STRATEGY_NAMES)
    if execution_horizon is None and alignment == "report":
        trained = look_up("policy", policy, POLICIES).trained
        execution_horizon = look_up("env", task, TASKS).execution_horizon if trained else None
    if alignment not in ALIGNMENTS:
        raise unknown_name("alignment", alignment, ALIGNMENTS)
    if isinstance(strategy, PrefixAsync):
        if alignment == "readme":
            steps = TRAINED_PREFIX_STEPS if prefix_steps is None else prefix_steps
            return PrefixAsync(
                execution_horizon=execution_horizon, prefix_steps=steps, alignment="readme"
            )
        if prefix_steps is not None:
            strategy = replace(strategy, prefix_steps=prefix_steps)
    elif prefix_steps is not None or alignment != "report":
        option = "--alignment" if alignment != "report" else "--prefix-steps"
        raise ConfigError(f"{option}: only strategy 'prefix_async' has a prefix, got {name!r}")
    return (
        strategy
        if execution_horizon is None
        else replace(strategy, execution_horizon=execution_horizon)
    )


def choose_events(task: str, text: str, max_ticks: int | None = None) -> tuple[Event, ...]:
    """Events from ``none`` or comma-separated ``NAME[:FIELD=VALUE,...][@TRIGGER]``.

    Args:
        task: Task they shall happen in; its phases and its own events are known.
        text: What shall happen.
        max_ticks: Tick limit of an episode; None leaves times unchecked.

    Raises:
        ConfigError: An unknown event, or one that can never fire.
    """
    register_events(task)
    if text.strip() in ("", "none"):
        return ()
    from envs.events import check_events

    events = parse_events(own_presets(task, text))
    check_events(events, env_class(task), max_ticks)
    return events


def time_limit_ticks(env: str, level: Mapping[str, Any], max_seconds: float | None) -> int:
    """Tick limit from seconds; by default that of the task's level."""
    if max_seconds is None:
        max_seconds = LEVELS[env].seconds(level)
    if not 0.1 <= max_seconds <= 3600:
        raise ConfigError(f"--max-seconds: expected 0.1 .. 3600, got {max_seconds:g}")
    return round(max_seconds * CONTROL_HZ)


def make_condition(
    *,
    env: str,
    level: Mapping[str, Any],
    policy: str,
    weights: Weights | None,
    strategy: Strategy,
    latency: str,
    delay_error: int,
    event: str,
    max_seconds: float | None,
) -> Condition:
    """Checks every switch and resolves names to values."""
    look_up("env", env, TASKS)
    latency_model = parse_latency(latency)
    max_ticks = time_limit_ticks(env, level, max_seconds)
    events = choose_events(env, event, max_ticks)
    return Condition(
        env=env,
        level=level,
        policy=policy,
        weights=weights,
        strategy=strategy,
        latency=latency_model,
        estimator=TrueDelay(delay_error),
        events=events,
        max_ticks=max_ticks,
    )
