"""Everything a stopped training needs to go on, in one file without pickle.

A safetensors file: networks, the state of every optimiser, the replay buffer, the statistics of
the features; counters are JSON in its header. It is written whole or not at all. A training that
goes on begins with a new episode and other random numbers, so it does not repeat an uninterrupted
one bit for bit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecNormalize

from experiments.rl.learner import DemonstratedSAC, feature_statistics
from xr0_sim.atomic import replacing
from xr0_sim.errors import ConfigError

FORMAT = "xr0_sim.rl_training.2"
BUFFER = (
    *("observations", "next_observations", "actions", "rewards", "dones", "timeouts"),
    "advice",
)
MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def _optimisers(model: DemonstratedSAC) -> Iterator[tuple[str, torch.optim.Optimizer]]:
    yield "actor", model.actor.optimizer
    yield "critic", model.critic.optimizer
    if model.ent_coef_optimizer is not None:
        yield "temperature", model.ent_coef_optimizer


def save_checkpoint(
    path: Path, model: DemonstratedSAC, statistics: VecNormalize, counters: dict[str, Any]
) -> None:
    """Writes the file.

    Args:
        path: Its name.
        model: The learner.
        statistics: Of its features.
        counters: Plain JSON values to be given back.
    """
    tensors = {f"policy/{name}": value for name, value in model.policy.state_dict().items()}
    if model.log_ent_coef is not None:
        tensors["temperature"] = model.log_ent_coef.detach()
    for name, optimiser in _optimisers(model):
        for index, state in optimiser.state_dict()["state"].items():
            for moment in MOMENTS:
                tensors[f"{name}_adam/{index}/{moment}"] = torch.as_tensor(state[moment])
    buffer = model.replay_buffer
    assert buffer is not None
    size = buffer.size()
    for name in BUFFER:
        tensors[f"buffer/{name}"] = torch.from_numpy(getattr(buffer, name)[:size])
    rms = feature_statistics(statistics)
    tensors["statistics/mean"] = torch.from_numpy(np.asarray(rms.mean))
    tensors["statistics/variance"] = torch.from_numpy(np.asarray(rms.var))
    header = {
        "counters": counters,
        "steps": model.num_timesteps,
        "updates": model._n_updates,
        "count": float(rms.count),
    }
    plain = {name: value.detach().contiguous().clone() for name, value in tensors.items()}
    with replacing(path) as temporary:
        save_file(plain, temporary, {"format": FORMAT, "state": json.dumps(header)})


def load_checkpoint(path: Path, model: DemonstratedSAC, statistics: VecNormalize) -> dict[str, Any]:
    """Puts a learner of the same shape where it was; returns the counters.

    Raises:
        ConfigError: Another file, or one of a learner of another shape.
    """
    try:
        with safe_open(path, framework="pt") as file:
            given = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        if given.get("format") != FORMAT:
            raise ConfigError(
                f"checkpoint {path}: expected format {FORMAT!r}, got {given.get('format')!r}; "
                "train into another folder"
            )
        header = json.loads(given["state"])
        _restore(model, statistics, tensors, header)
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        first = str(error).partition("\n")[0]
        raise ConfigError(
            f"checkpoint {path}: expected one of a training with the same options, got {first}; "
            "train into another folder"
        ) from None
    return header["counters"]


def _restore(
    model: DemonstratedSAC,
    statistics: VecNormalize,
    tensors: dict[str, torch.Tensor],
    header: dict[str, Any],
) -> None:
    own = {n.removeprefix("policy/"): v for n, v in tensors.items() if n.startswith("policy/")}
    model.policy.load_state_dict(own)
    if model.log_ent_coef is not None:
        with torch.no_grad():
            model.log_ent_coef.copy_(tensors["temperature"])
    for name, optimiser in _optimisers(model):
        state = optimiser.state_dict()
        indices = {int(n.split("/")[1]) for n in tensors if n.startswith(f"{name}_adam/")}
        state["state"] = {
            i: {moment: tensors[f"{name}_adam/{i}/{moment}"] for moment in MOMENTS} for i in indices
        }
        optimiser.load_state_dict(state)
    buffer = model.replay_buffer
    assert buffer is not None
    for name in BUFFER:
        rows = tensors[f"buffer/{name}"].numpy()[: buffer.buffer_size]
        getattr(buffer, name)[: len(rows)] = rows
    buffer.pos, buffer.full = len(rows) % buffer.buffer_size, len(rows) == buffer.buffer_size
    rms = feature_statistics(statistics)
    rms.mean = tensors["statistics/mean"].numpy().copy()
    rms.var = tensors["statistics/variance"].numpy().copy()
    rms.count = header["count"]
    model.num_timesteps, model._n_updates = header["steps"], header["updates"]
    # What is drawn from here on differs from what was drawn before.
    set_random_seed(header["steps"])
    model.action_space.seed(header["steps"])
