"""Released checkpoints: statistics of a robot type, and which of them drive which robot.

A released checkpoint has one expert, and statistics for every robot type it was trained on. It can
drive our robot where a robot type moves both arms, by tool displacements or by joints, and both
jaws; a benchmark's single arm where it moves one by tool displacements. Its state is raw, as the
public processor leaves it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from policies.xr0.arm_kinds import ARM_KINDS
from policies.xr0.checkpoints import RELEASED_HEAD, find_checkpoint, is_released
from xr0_sim.conventions import ARMS, CAMERAS
from xr0_sim.errors import CheckpointError, ConfigError, unknown_name
from xr0_sim.model.checkpoints.released import load_released, released_processor
from xr0_sim.model.compute.default_dtype import float32_default, untouched_random_state
from xr0_sim.model.compute.devices import choose_device, graph_on, prepare_compiler
from xr0_sim.model.compute.reduced_linear import reduce_products
from xr0_sim.model.compute.weight_only import reduce_vlm
from xr0_sim.model.network_options import NetworkOptions
from xr0_sim.model.policy_model import PolicyModel, policy_precision
from xr0_sim.model.spec.normalizer import Normalizer
from xr0_sim.model.spec.robot_schema import ACTIVE_STD, PREPROCESSOR_FILE, RobotSchema, load_schemas
from xr0_sim.model.vlm.prompt import view_title

DECODING_SLOTS = {"tool": ("tool_pos", "tool_rot", "jaw"), "joint": ("joints", "jaw")}
"""Decoding -> parts of a row that both arms need for it, the preferred one first."""

ONE_ARM_SLOTS = frozenset({"left_tool_pos", "left_tool_rot", "left_jaw"})
"""Parts of a row that a single arm needs; it stands where the left one does."""


def moves_one_arm(schema: RobotSchema) -> bool:
    """Whether a robot type is a single arm that is moved by tool displacements."""
    used = frozenset(schema.slots)
    return used >= ONE_ARM_SLOTS and not any(name.startswith("right_") for name in used)


def drives_one_arm(weights: NetworkOptions) -> bool:
    """Whether chosen weights are those of a single arm."""
    path = find_checkpoint(weights.checkpoint)
    if weights.robot_type is None or not is_released(path):
        return False
    return moves_one_arm(load_schemas(path)[weights.robot_type])


def decodings_of(schema: RobotSchema) -> list[str]:
    """Decodings by which a robot type drives two arms; empty where it cannot."""
    used = schema.slots
    return [
        decoding
        for decoding, parts in DECODING_SLOTS.items()
        if all(f"{arm}_{part}" in used for arm in ARMS for part in parts)
    ]


def choose_robot_type(
    directory: Path, robot_type: str | None, task: str | None = None
) -> RobotSchema:
    """Statistics of a robot type that drives the robot of a task.

    Args:
        directory: The checkpoint.
        robot_type: Its name; None takes the only one that fits, or the benchmark's own.
        task: What it is going to do; None for a task of two arms.

    Raises:
        ConfigError: Unknown, of another robot, or none or several fit.
    """
    if not (directory / PREPROCESSOR_FILE).is_file():
        raise CheckpointError(
            f"checkpoint {directory}: expected {PREPROCESSOR_FILE} with the statistics of robot "
            "types, found none; fetch it, too"
        )
    schemas = load_schemas(directory)
    arm = ARM_KINDS.get(task or "")
    single = "" if arm is None else arm.robot_type
    fits = moves_one_arm if single else decodings_of
    fitting = [name for name, schema in schemas.items() if fits(schema)]
    if robot_type is None and single in fitting:
        robot_type = single
    if robot_type is None:
        if len(fitting) != 1:
            raise ConfigError(
                f"robot type: expected one named out of {', '.join(fitting) or 'none that fits'}; "
                f"{_what_it_moves(schemas)}"
            )
        robot_type = fitting[0]
    if robot_type not in schemas:
        raise unknown_name("robot type", robot_type, schemas)
    if robot_type not in fitting:
        needs = (
            f"one arm by its tool, and its jaw, which env {task!r} needs"
            if single
            else "two arms by tools or by joints, and both jaws, which this robot needs"
        )
        raise ConfigError(
            f"robot type {robot_type!r}: expected one that moves {needs}; "
            f"{_what_it_moves(schemas, robot_type)}"
        )
    return schemas[robot_type]


def parse_views(views: Sequence[str] | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Views in prompt order from ``NAME`` or ``NAME=CAMERA``, e.g. ``ego=base``.

    Args:
        views: Each the name or title of a view in the prompt (`xr0_sim.model.vlm.prompt`), and the
            camera of this robot that shows it, by default the one of that name; None for all
            cameras under their own names.

    Returns:
        Names in the prompt, and cameras.

    Raises:
        ConfigError: No view, one twice, or an unknown name or camera.
    """
    split = [view.rpartition("=") for view in (CAMERAS if views is None else views)]
    names = tuple((name if equals else camera).strip() for name, equals, camera in split)
    cameras = tuple(camera.strip() for _, _, camera in split)
    for camera in cameras:
        if camera not in CAMERAS:
            raise unknown_name("camera of a view", camera, CAMERAS)
    if not names or len({view_title(name) for name in names}) != len(names):
        raise ConfigError(
            f"views: expected different ones, such as base or ego=base with a camera out of "
            f"{', '.join(CAMERAS)}, got {', '.join(names) or 'none'}"
        )
    return names, cameras


def load_released_policy(
    directory: Path, options: NetworkOptions, task: str | None = None
) -> tuple[PolicyModel, RobotSchema, tuple[str, ...]]:
    """The network of a released checkpoint with one robot type's statistics.

    Args:
        directory: The checkpoint.
        options: How it computes; the checkpoint named there is not looked at.
        task: What it is going to do; None for a task of two arms.

    Returns:
        The network, its robot type, and the camera of each view.
    """
    if options.head not in (None, RELEASED_HEAD):
        raise ConfigError(
            f"head {options.head!r}: expected none, a released checkpoint has a single expert; "
            "leave the head out"
        )
    names, cameras = parse_views(options.views)
    place = choose_device(options.device)
    graph = graph_on(place, options.graph)
    if options.compile:
        prepare_compiler()
    schema = choose_robot_type(directory, options.robot_type, task)
    # The processor multiplies few bits slowly; a graphics card keeps them as they are stored.
    dtype = torch.float32 if place.type == "cpu" else None
    with float32_default(), untouched_random_state():
        model = load_released(directory, dtype)
        if options.window is not None:
            model.expert.use_action_window(options.window)
        if schema.action_length != model.config.action_length:
            raise CheckpointError(
                f"statistics {directory / PREPROCESSOR_FILE}: expected "
                f"{model.config.action_length} rows for robot type {schema.robot_type!r}, got "
                f"{schema.action_length}; restore the file"
            )
        model = model.to(place)
        reduce_vlm(model.vlm, options.vlm_weights)
        reduce_products(model.vlm, policy_precision(model.config, options.precision, place))
        processor = released_processor(directory, model.config, names)
    policy = PolicyModel(
        model,
        processor,
        _normalizer(schema),
        options.precision,
        options.compile,
        torch.from_numpy(schema.action_mask.astype(np.float32)),
        graph,
    )
    return policy, schema, cameras


def _normalizer(schema: RobotSchema) -> Normalizer:
    """Its statistics; entries that do not count get a spread that keeps them at their mean."""
    zeros = np.zeros(schema.mean.shape[1], np.float32)
    spread = np.where(schema.action_mask, schema.std, ACTIVE_STD).astype(np.float32)
    return Normalizer(schema.mean.astype(np.float32), spread, zeros, zeros + 1.0)


def _what_it_moves(schemas: Mapping[str, RobotSchema], robot_type: str | None = None) -> str:
    names = schemas if robot_type is None else (robot_type,)
    words = [f"{name} moves {', '.join(schemas[name].slots) or 'nothing'}" for name in names]
    return "; ".join(words) or "the checkpoint knows no robot type"
