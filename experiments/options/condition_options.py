"""Options that decide an episode besides its seed, shared by every command that runs policies."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from envs.world import world_name
from experiments.options.network_options import WeightOptions
from experiments.options.task_options import TaskOptions
from experiments.runner.condition import Condition, choose_strategy, make_condition
from experiments.runner.uncollected import uncollected


@dataclass(frozen=True)
class ConditionOptions(TaskOptions, WeightOptions):
    """Task, policy, strategy, latency and events.

    Attributes:
        env: Task, or TASK:field=value,... with its arguments.
        policy: xr0 (trained), oracle (the scripted expert, rehearsed), oracle_random_speed,
            or one of yours.
        head: sync, prefix, prefix_lambda, rolled or prefix_refreshed; default: the one trained for
            the strategy.
        strategy: prefix_async, sync, naive_async, another of `xr0-sim list`, or one of yours, as
            NAME[:field=value,...].
        execution_horizon: Executed actions before the next inference starts; default for xr0: what
            the checkpoint was measured best with; else 10.
        prefix_steps: Fixed prefix length; default: as long as the estimated delay.
        alignment: How the prefix is placed: report (default) or readme.
        latency: NAME[:field=value,...] such as xr0_4090, cloud_4g, none, or 133ms, 0.2s, 109±2.3ms,
            or 60+20ms: VLM and action expert.
        estimator: What the controller believes about the delay: oracle (default), last, ...
        delay_error: Error of the estimated delay [ticks].
        event: none, or NAME[:field=value,...][@TRIGGER], with commas: shove:distance_m=0.1@2s.
        max_seconds: Time limit of an episode [simulated s]; default: that of the level, e.g. 40.
        stall_s: End an episode as a failure after so long without progress [simulated s]; default:
            never. Rows say where it happened.
    """

    env: str = "block_dismantling"
    policy: str = "xr0"
    head: str | None = None
    strategy: str = "prefix_async"
    execution_horizon: int | None = None
    prefix_steps: int | None = None
    alignment: str | None = None
    latency: str = "xr0_4090"
    estimator: str = "oracle"
    delay_error: int = 0
    event: str = "shove"
    max_seconds: float | None = None
    stall_s: float | None = None

    @uncollected(stays=True)
    def condition(self) -> Condition:
        """The condition these options stand for."""
        env_kwargs = self.env_kwargs()
        strategy = choose_strategy(
            self.strategy,
            self.execution_horizon,
            self.prefix_steps,
            self.alignment,
            self.policy,
            self.task,
            lambda: self.recorded_horizon(self.task, world_name(env_kwargs)),
        )
        return make_condition(
            env=self.task,
            env_kwargs=env_kwargs,
            policy=self.policy,
            weights=self.weights_of(
                self.task, self.policy, strategy, self.head, world_name(env_kwargs)
            ),
            strategy=strategy,
            latency=self.latency,
            delay_error=self.delay_error,
            estimator=self.estimator,
            event=self.event,
            max_seconds=self.max_seconds,
            stall_s=self.stall_s,
        )


def given_options(options: Any) -> dict[str, Any]:
    """Options of a condition that a command's options set; one that is empty sets nothing."""
    known = {field.name: getattr(options, field.name, None) for field in fields(ConditionOptions)}
    return {name: value for name, value in known.items() if value not in (None, "", False, ())}
