"""A condition read back from a run card, so that an episode can be run again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from envs.tasks import register_events, task_spec
from envs.world import FIRST, STAGE_ARGUMENTS
from experiments.runner.condition import Condition
from policies.xr0.checkpoints import Weights
from xr0_sim.errors import ConfigError
from xr0_sim.fields import NEWER
from xr0_sim.record.runcard import to_json
from xr0_sim.registry import REGISTRIES
from xr0_sim.runtime.strategies.prefix_async import EstimatedPrefix

PLUG_GROUPS = ("strategies", "latencies", "estimators", "events", "triggers")


def stored_condition(config: Mapping[str, Any], place: str) -> Condition:
    """Condition from the ``config`` of a run card.

    Args:
        config: JSON form, as `to_json` makes it.
        place: Card, for messages.

    Raises:
        ConfigError: Another version wrote it, or a plug-in it needs is not loaded.
    """
    config = {"stall_ticks": None, **_with_stage(config)}
    wanted = {field.name for field in fields(Condition)}
    if config.get("type") != "Condition" or wanted != set(config) - {"type"}:
        raise ConfigError(
            f"{place}: expected the condition of a rollout of this version, got "
            f"{config.get('type')!r}; run the rollout again"
        )
    register_events(str(config["env"]))
    classes = _classes()
    values = {name: _decoded(config[name], classes, place) for name in wanted}
    condition = Condition(**values)
    if to_json(condition) != dict(config):
        raise ConfigError(
            f"{place}: expected a condition that this version writes alike; run the rollout again"
        )
    return condition


def _with_stage(config: Mapping[str, Any]) -> dict[str, Any]:
    """A condition of the time before there were worlds: it ran in the first."""
    env_kwargs = config.get("env_kwargs")
    if not isinstance(env_kwargs, Mapping) or "world" in env_kwargs:
        return dict(config)
    if "world" not in task_spec(str(config["env"])).stage:
        return dict(config)
    stage = {**STAGE_ARGUMENTS, "world": FIRST.name, "servo": FIRST.servo}
    return {**config, "env_kwargs": {**env_kwargs, **stage}}


def _classes() -> dict[str, list[type]]:
    """Classes that a card may name, by name; plug-ins may give theirs equal names."""
    found: dict[str, list[type]] = {"Weights": [Weights], "EstimatedPrefix": [EstimatedPrefix]}
    for group in PLUG_GROUPS:
        registry = REGISTRIES[group]
        for name in registry:
            plug = registry[name]
            cls = plug if isinstance(plug, type) else type(plug)
            found.setdefault(cls.__name__, []).append(cls)
    return found


def _decoded(value: Any, classes: Mapping[str, list[type]], place: str) -> Any:
    if isinstance(value, list):
        return tuple(_decoded(item, classes, place) for item in value)
    if not isinstance(value, Mapping):
        return value
    if "type" not in value:
        return {name: _decoded(item, classes, place) for name, item in value.items()}
    inner = {name: _decoded(item, classes, place) for name, item in value.items() if name != "type"}
    for cls in classes.get(value["type"], ()):
        wanted = {field.name: field.metadata == NEWER for field in fields(cls) if field.init}
        if {name for name, newer in wanted.items() if not newer} <= set(inner) <= set(wanted):
            return cls(**inner)
    raise ConfigError(
        f"{place}: expected a plug {value['type']}({', '.join(inner)}), found none; give the "
        "--plugin that the run was made with"
    )
