"""Any policy of the registry, loaded for clients: bound, described and warmed up."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from policies.remote.description import ON_THE_WIRE, Description
from policies.remote.session import LatencyRecord, ServedPolicy
from policies.table import policy_spec
from xr0_sim.conventions import CAMERAS
from xr0_sim.errors import ConfigError
from xr0_sim.plugins import loaded_plugins
from xr0_sim.record.runcard import to_json
from xr0_sim.types import capabilities_of

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv
    from policies.xr0.checkpoints import Weights
    from xr0_sim.types import ChunkModel

WARM_UPS = 4
"""Inferences before clients come; chosen. The first is slow and not counted."""


def check_servable(policy: str) -> None:
    """Raises `ConfigError` for a policy that needs the simulator of the episode itself."""
    if policy_spec(policy).rehearses:
        raise ConfigError(
            f"policy {policy!r}: expected one that needs observations alone, this one plays on in "
            "the simulator of the episode; serve xr0 or one of yours"
        )


def load_served(
    policy: str,
    weights: Weights | None,
    task: str,
    env_kwargs: Mapping[str, Any],
    latencies: LatencyRecord,
) -> ServedPolicy:
    """Loads a policy, runs it a few times and describes it.

    Args:
        policy: ``name[:field=value,...]`` of `xr0_sim.registry.policies`.
        weights: Its network; None for policies without.
        task: Task whose environment it is bound to; pictures are never rendered in it.
        env_kwargs: Arguments of that environment.
        latencies: Where the computing times of the warm-up are noted.
    """
    from envs.tasks import make_env

    check_servable(policy)
    loaded = policy_spec(policy).load(weights)
    env = make_env(task, image_size=loaded.image_size, **env_kwargs)
    env.reset_scene(0)
    model = loaded.bind(env)
    views = tuple(getattr(model, "views", CAMERAS)) if loaded.looks else ()
    description = Description(
        policy=policy,
        digest=policy_digest(policy, weights),
        task=task,
        horizon=model.horizon,
        control_hz=env.control_hz,
        views=views,
        image_size=loaded.image_size,
        capabilities=capabilities_of(model) & ON_THE_WIRE,
        remembers=bool(getattr(model, "remembers", False)),
    )
    _warm_up(model, env, views, latencies)
    return ServedPolicy(lambda: loaded.bind(env), description)


def policy_digest(policy: str, weights: Weights | None) -> str:
    """First 16 hex digits of the SHA-256 over name and fields, network and plug-ins."""
    plugins = {plugin.module: plugin.digest for plugin in loaded_plugins()}
    facts = json.dumps([policy, to_json(weights), plugins], sort_keys=True)
    return sha256(facts.encode()).hexdigest()[:16]


def _warm_up(
    model: ChunkModel, env: DualArmEnv, views: tuple[str, ...], latencies: LatencyRecord
) -> None:
    """Infers from the first tick of a scene, with grey pictures."""
    size = env.image_size
    seen = replace(
        env.observe(images=False),
        images={name: np.full((size, size, 3), 128, np.uint8) for name in views},
    )
    model.reset(0)
    for number in range(WARM_UPS):
        started_s = time.perf_counter()
        model.infer(seen, np.empty((0, len(seen.robot.command))), (0, number))
        if number:
            latencies.add(time.perf_counter() - started_s)
