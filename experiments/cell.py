"""One cell of an experiment: task, policy and switch positions, resolved to values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from experiments.catalog import (
    EXECUTORS,
    HEAD_FOR,
    POLICIES,
    TASKS,
    Weights,
    checkpoint_digest,
    checkpoint_heads,
    default_checkpoint,
    look_up,
    own_presets,
    register_events,
)
from experiments.levels import LEVELS
from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.model.precision import DEFAULT_PRECISION, STORED_WEIGHTS, check_brain_weights
from xr0_sim.perturb.events import Event
from xr0_sim.perturb.registry import parse_events
from xr0_sim.runtime.estimator import EstimatorConfig, TrueDelay
from xr0_sim.runtime.latency import LatencyConfig, parse_latency
from xr0_sim.runtime.strategies import (
    ALIGNMENTS,
    TRAINED_PREFIX_STEPS,
    PrefixAsync,
    StrategyConfig,
)


@dataclass(frozen=True)
class Cell:
    """Everything that decides an episode besides its seed.

    Attributes:
        env: Key of `experiments.catalog.TASKS`.
        level: Arguments of the environment, complete.
        policy: Key of `experiments.catalog.POLICIES`.
        checkpoint: Shipped name or path; None for policies without weights.
        checkpoint_digest: Which weights these were.
        head: Action-expert head; None for policies without heads.
        temperature: Factor on its flow noise; None for the policy's own.
        precision: Number format it runs in; None for policies without weights.
        device: Where it runs, as torch names it; None for policies without weights.
        brain_weights: How its brain's weights are kept; None for policies without weights.
        executor: Execution strategy.
        latency: True latency.
        estimator: What the controller believes about it.
        events: Events of every episode; its twin has none.
        max_ticks: Tick limit of an episode.
    """

    env: str
    level: Mapping[str, Any]
    policy: str
    checkpoint: str | None
    checkpoint_digest: str | None
    head: str | None
    temperature: float | None
    precision: str | None
    device: str | None
    brain_weights: str | None
    executor: StrategyConfig
    latency: LatencyConfig
    estimator: EstimatorConfig
    events: tuple[Event, ...]
    max_ticks: int

    @property
    def label(self) -> str:
        """For captions, e.g. ``xr0 prefix_lambda | prefix async T_e=10 Δ≤6 | 80 ms``."""
        head = f" {self.head}" if self.head else ""
        return f"{self.policy}{head} | {self.executor.label} | {self.latency.label}"

    @property
    def weights(self) -> Weights:
        """What the policy loads."""
        return Weights(*(getattr(self, field.name) for field in fields(Weights)))

    @property
    def undisturbed(self) -> Cell:
        """The same without events."""
        return replace(self, events=())


def choose_executor(
    name: str,
    execute: int | None,
    prefix_steps: int | None,
    alignment: str,
    policy: str,
    task: str,
) -> StrategyConfig:
    """Execution strategy from its name and its switches.

    Args:
        name: Key of `experiments.catalog.EXECUTORS`.
        execute: Executed rows before the next inference; None for what suits the task's trained
            policies, or for the executor's own.
        prefix_steps: Fixed prefix length; None for as long as the estimated delay.
        alignment: ``report`` or ``readme``, see `PrefixAsync`.
        policy: Key of `experiments.catalog.POLICIES`.
        task: Key of `experiments.catalog.TASKS`.
    """
    strategy = look_up("executor", name, EXECUTORS)
    if execute is None and alignment == "report":
        trained = look_up("policy", policy, POLICIES).trained
        execute = look_up("env", task, TASKS).execute if trained else None
    if alignment not in ALIGNMENTS:
        raise unknown_name("alignment", alignment, ALIGNMENTS)
    if isinstance(strategy, PrefixAsync):
        if alignment == "readme":
            steps = TRAINED_PREFIX_STEPS if prefix_steps is None else prefix_steps
            return PrefixAsync(execute=execute, prefix_steps=steps, alignment="readme")
        if prefix_steps is not None:
            strategy = replace(strategy, prefix_steps=prefix_steps)
    elif prefix_steps is not None or alignment != "report":
        option = "--alignment" if alignment != "report" else "--prefix-steps"
        raise ConfigError(f"{option}: only executor 'prefix_async' has a prefix, got {name!r}")
    return strategy if execute is None else replace(strategy, execute=execute)


def choose_weights(
    task: str, policy: str, checkpoint: str | None, head: str | None, executor: StrategyConfig
) -> tuple[str | None, str | None]:
    """Checkpoint and head asked for, or the task's and the one trained for the executor."""
    if not look_up("policy", policy, POLICIES).trained:
        for option, value in (("--head", head), ("--checkpoint", checkpoint)):
            if value is not None:
                raise ConfigError(f"{option}: policy {policy!r} has no weights; leave it out")
        return None, None
    checkpoint = checkpoint or default_checkpoint(task)
    heads = checkpoint_heads(checkpoint)
    head = head or HEAD_FOR[type(executor)]
    if head not in heads:
        raise unknown_name(f"head of {checkpoint}", head, heads)
    return checkpoint, head


def choose_events(task: str, text: str) -> tuple[Event, ...]:
    """Events from ``none`` or comma-separated ``PRESET[@TRIGGER]``."""
    register_events(task)
    if text.strip() in ("", "none"):
        return ()
    return parse_events(own_presets(task, text))


def time_limit_ticks(env: str, level: Mapping[str, Any], max_seconds: float | None) -> int:
    """Tick limit from seconds; by default that of the task's level."""
    if max_seconds is None:
        max_seconds = LEVELS[env].seconds(level)
    if not 0.1 <= max_seconds <= 3600:
        raise ConfigError(f"--max-seconds: expected 0.1 .. 3600, got {max_seconds:g}")
    return round(max_seconds * CONTROL_HZ)


def make_cell(
    *,
    env: str,
    level: Mapping[str, Any],
    policy: str,
    checkpoint: str | None,
    head: str | None,
    temperature: float | None,
    precision: str | None,
    device: str | None,
    brain_weights: str | None,
    executor: StrategyConfig,
    latency: str,
    delay_error: int,
    event: str,
    max_seconds: float | None,
) -> Cell:
    """Checks every switch and resolves names to values."""
    look_up("env", env, TASKS)
    checkpoint, head = choose_weights(env, policy, checkpoint, head, executor)
    check_temperature(policy, temperature)
    device = choose_device(policy, device)
    latency_model = parse_latency(latency)
    events = choose_events(env, event)
    return Cell(
        env=env,
        level=level,
        policy=policy,
        checkpoint=checkpoint,
        checkpoint_digest=None if checkpoint is None else checkpoint_digest(checkpoint),
        head=head,
        temperature=temperature,
        precision=choose_precision(policy, checkpoint, head, precision, device),
        device=device,
        brain_weights=choose_brain_weights(policy, brain_weights),
        executor=executor,
        latency=latency_model,
        estimator=TrueDelay(delay_error),
        events=events,
        max_ticks=time_limit_ticks(env, level, max_seconds),
    )


def choose_device(policy: str, device: str | None) -> str | None:
    """Device asked for, as torch names it, or the default; None without weights."""
    if POLICIES[policy].trained:
        from xr0_sim.model.devices import DEFAULT_DEVICE, choose_device

        return str(choose_device(device or DEFAULT_DEVICE))
    if device is not None:
        raise ConfigError(f"--device: policy {policy!r} has no weights; leave it out")
    return None


def choose_brain_weights(policy: str, weights: str | None) -> str | None:
    """How the brain's weights are kept; None without weights."""
    if POLICIES[policy].trained:
        weights = weights or STORED_WEIGHTS
        check_brain_weights(weights)
    elif weights is not None:
        raise ConfigError(f"--brain-weights: policy {policy!r} has no weights; leave it out")
    return weights


def choose_precision(
    policy: str,
    checkpoint: str | None,
    head: str | None,
    precision: str | None,
    device: str | None,
) -> str | None:
    """Number format asked for, or the one that pays on the device; None without weights."""
    if POLICIES[policy].trained:
        from policies.xr0 import resolve_precision

        return resolve_precision(checkpoint, head, precision or DEFAULT_PRECISION, device)
    if precision is not None:
        raise ConfigError(f"--precision: policy {policy!r} has no weights; leave it out")
    return None


def check_temperature(policy: str, temperature: float | None) -> None:
    """Rejects a temperature for a policy that has none, or one outside 0 .. 1."""
    if temperature is None:
        return
    if not POLICIES[policy].trained:
        raise ConfigError(f"--temperature: policy {policy!r} draws no noise; leave it out")
    if not 0.0 <= temperature <= 1.0:
        raise ConfigError(f"--temperature: expected 0 .. 1, got {temperature:g}")
