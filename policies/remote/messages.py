"""Requests and answers as the maps of a frame.

A request carries what policies of openpi read (``state``, ``images``, ``prompt``) and what ours
need besides:

| key | value |
|---|---|
| ``state`` | (14,) measured joints and jaws, in the order of an environment action |
| ``images`` | map of cameras to (H, W, 3) uint8 |
| ``prompt`` | the instruction |
| ``robot`` | map of the fields of `xr0_sim.types.RobotState` to arrays |
| ``tick``, ``time_ns`` | when it was captured; 0 if left out |
| ``noise_seed`` | two whole numbers; left out, the server counts |
| ``reset`` | seed of the episode, in its first request alone |
| ``prefix`` | (d, 14) committed actions; left out without one |
| ``assumed``, ``guide``, ``samples``, ``noise`` | see `ChunkRequest`; left out at defaults |

The answer is ``actions`` (T, 14), or (samples, T, 14) for more than one, and ``server_timing`` with
``infer_ms`` and ``wait_ms``. A text frame in its place says what is wrong with the request.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from xr0_sim.conventions import ENV_ACTION_DIM
from xr0_sim.errors import ConfigError
from xr0_sim.types import (
    ROBOT_SHAPES,
    ActionChunk,
    ChunkRequest,
    Guide,
    Observation,
    RobotState,
    no_prefix,
)
from xr0_sim.wire import WireError

LONGEST_PROMPT = 1024
"""Characters of an instruction; chosen, four times what an observation of ours can hold."""
MOST_ROWS = 1000
"""Rows of a prefix, a guide or assumed actions; chosen, 33 s."""
MOST_SAMPLES = 64
"""Chunks of one request; chosen, four times what the published method draws."""
LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True)
class Incoming:
    """A request as a server reads it.

    Attributes:
        request: What is asked.
        reset: Seed of the episode that begins with it; None within an episode.
        counted: Whether the request says its own noise seed.
    """

    request: ChunkRequest
    reset: int | None
    counted: bool


def request_message(
    request: ChunkRequest, views: Sequence[str], reset: int | None = None
) -> dict[str, Any]:
    """The map of a request.

    Args:
        request: What is asked.
        views: Cameras whose pictures are sent.
        reset: Seed of the episode, in its first request.
    """
    seen = request.observation
    missing = [name for name in views if name not in seen.images]
    if missing:
        raise ConfigError(
            f"remote policy: expected pictures of {', '.join(views)}, missing "
            f"{', '.join(missing)}; capture with images=True"
        )
    message: dict[str, Any] = {
        "state": np.column_stack([seen.robot.joint_pos, seen.robot.jaw]).ravel(),
        "images": {name: seen.images[name] for name in views},
        "prompt": seen.instruction,
        "robot": {name: np.asarray(getattr(seen.robot, name), float) for name in ROBOT_SHAPES},
        "tick": seen.tick,
        "time_ns": seen.time_ns,
        "noise_seed": list(request.noise_seed),
    }
    if reset is not None:
        message["reset"] = reset
    if len(request.prefix):
        message["prefix"] = request.prefix
    if len(request.assumed):
        message["assumed"] = request.assumed
    if request.guide is not None:
        guide = request.guide
        message["guide"] = {
            "actions": np.asarray(guide.actions, float),
            "weights": np.asarray(guide.weights, float),
            "strength": guide.strength,
        }
    if request.samples > 1:
        message["samples"] = request.samples
    if request.noise != "inference":
        message["noise"] = request.noise
    return message


def read_request(message: Mapping[str, Any], views: Sequence[str]) -> Incoming:
    """The request in a map; keys that are not ours are left alone.

    Args:
        message: Map of a frame.
        views: Cameras that the policy looks at; pictures of others are left alone.

    Raises:
        WireError: Something is missing, or of another type, shape or range.
    """
    prompt = message.get("prompt")
    if not isinstance(prompt, str) or len(prompt) > LONGEST_PROMPT:
        raise WireError(f"'prompt': expected text of at most {LONGEST_PROMPT} characters")
    observation = Observation(
        tick=_whole(message, "tick", 0, LARGEST_SEED),
        time_ns=_whole(message, "time_ns", 0, LARGEST_SEED),
        robot=_robot(message.get("robot")),
        images=_images(message.get("images", {}), views),
        instruction=prompt,
    )
    counted = "noise_seed" in message
    request = ChunkRequest(
        observation,
        prefix=_rows(message, "prefix"),
        noise_seed=_noise_seed(message["noise_seed"]) if counted else (0, 0),
        guide=_guide(message.get("guide")),
        samples=_whole(message, "samples", 1, MOST_SAMPLES, default=1),
        assumed=_rows(message, "assumed"),
        noise=_noise(message.get("noise", "inference")),
    )
    reset = _whole(message, "reset", 0, LARGEST_SEED) if "reset" in message else None
    return Incoming(request, reset, counted)


def answer_message(chunks: Sequence[ActionChunk], timing: Mapping[str, float]) -> dict[str, Any]:
    """The map of an answer.

    Args:
        chunks: One chunk for every sample.
        timing: ``infer_ms`` and ``wait_ms`` [ms].
    """
    rows = [np.asarray(chunk.actions, float) for chunk in chunks]
    actions = rows[0] if len(rows) == 1 else np.stack(rows)
    return {"actions": actions, "server_timing": dict(timing)}


def read_answer(message: Mapping[str, Any], request: ChunkRequest) -> tuple[ActionChunk, ...]:
    """Chunks in the map of an answer, from the tick that was asked about on.

    Raises:
        WireError: No actions (T, 14) of a number type for every sample.
    """
    actions = message.get("actions")
    wanted = f"(T, {ENV_ACTION_DIM})"
    if not isinstance(actions, np.ndarray) or actions.dtype.kind not in "fiu":
        raise WireError(f"answer: expected 'actions' {wanted} of numbers, got {sorted(message)}")
    stacked = actions[None] if request.samples == 1 and actions.ndim == 2 else actions
    if stacked.ndim != 3 or len(stacked) != request.samples:
        raise WireError(
            f"answer: expected {request.samples} times 'actions' {wanted}, got {actions.shape}"
        )
    tick = request.observation.tick
    return tuple(ActionChunk(np.array(rows, np.float64), tick) for rows in stacked)


def _numbers(value: Any, shape: tuple[int, ...], what: str) -> NDArray[np.float64]:
    """A finite float array; -1 in a shape stands for any length."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        raise WireError(f"{what}: expected an array of floats {shape}, got {type(value).__name__}")
    fits = value.ndim == len(shape) and all(
        n in (-1, m) for n, m in zip(shape, value.shape, strict=True)
    )
    if not fits or not np.isfinite(value).all():
        raise WireError(f"{what}: expected finite numbers of shape {shape}, got {value.shape}")
    return np.array(value, np.float64)


def _robot(value: Any) -> RobotState:
    if not isinstance(value, Mapping):
        raise WireError(f"'robot': expected a map of {', '.join(ROBOT_SHAPES)}")
    found = {
        name: _numbers(value.get(name), shape, f"'robot' {name}")
        for name, shape in ROBOT_SHAPES.items()
    }
    return RobotState(**found)


def _images(value: Any, views: Sequence[str]) -> dict[str, NDArray[np.uint8]]:
    if not isinstance(value, Mapping):
        raise WireError("'images': expected a map of cameras")
    missing = [name for name in views if name not in value]
    if missing:
        raise WireError(f"'images': expected pictures of {', '.join(views)}, missing {missing}")
    for name in views:
        image = value[name]
        known = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3
        if not known or image.shape[-1] != 3 or 0 in image.shape:
            raise WireError(f"'images' {name}: expected (H, W, 3) uint8")
    return {name: np.array(value[name]) for name in views}


def _rows(message: Mapping[str, Any], name: str) -> NDArray[np.float64]:
    if name not in message:
        return no_prefix()
    rows = _numbers(message[name], (-1, ENV_ACTION_DIM), repr(name))
    if len(rows) > MOST_ROWS:
        raise WireError(f"{name!r}: expected at most {MOST_ROWS} rows, got {len(rows)}")
    return rows


def _guide(value: Any) -> Guide | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise WireError("'guide': expected a map of actions, weights and strength")
    strength = value.get("strength")
    if type(strength) is not float or not math.isfinite(strength):
        raise WireError("'guide' strength: expected a finite number")
    weights = _numbers(value.get("weights"), (-1,), "'guide' weights")
    return Guide(_rows(value, "actions"), weights, strength)


def _noise(value: Any) -> Literal["inference", "tick"]:
    if isinstance(value, str) and value == "inference":
        return "inference"
    if isinstance(value, str) and value == "tick":
        return "tick"
    raise WireError("'noise': expected inference or tick")


def _noise_seed(value: Any) -> tuple[int, int]:
    fits = isinstance(value, list) and len(value) == 2
    if not fits or not all(type(n) is int and 0 <= n <= LARGEST_SEED for n in value):
        raise WireError("'noise_seed': expected two whole numbers >= 0")
    return value[0], value[1]


def _whole(message: Mapping[str, Any], name: str, low: int, high: int, default: int = 0) -> int:
    value = message.get(name, default)
    if type(value) is not int or not low <= value <= high:
        raise WireError(f"{name!r}: expected a whole number {low} .. {high}")
    return value
