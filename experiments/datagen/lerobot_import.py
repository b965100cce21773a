"""A LeRobotDataset as samples of a store: frames with the actions that follow them as chunk.

A block of episodes is one shard, which appears by one rename, under a name made from the set; an
import that was interrupted goes on, and one that is repeated adds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from envs.robot.actions import JOINT_HIGH, JOINT_LOW, split_arms
from xr0_sim.conventions import CONTROL_HZ, ENV_ACTION_DIM, JOINTS_PER_ARM
from xr0_sim.data.chunk_writer import ChunkWriter
from xr0_sim.data.lerobot import layout
from xr0_sim.data.lerobot.tables import TASK
from xr0_sim.errors import ConfigError, DatasetError
from xr0_sim.types import RobotState

if TYPE_CHECKING:
    from envs.robot.kinematics import DualArmKinematics
    from xr0_sim.data.chunk_schema import StoreMeta
    from xr0_sim.data.lerobot.reading import SetReader

BLOCK = 10
"""Episodes per shard."""
BEYOND = 0.1
"""How far a joint [rad] or a jaw may be out of its range; a set in degrees is far out. Chosen."""


@dataclass(frozen=True)
class ImportPlan:
    """What becomes of a set.

    Attributes:
        source: Name of its samples in the store.
        stride: Frames between two samples.
        successes_only: Leave episodes out that did not succeed.
    """

    source: str
    stride: int
    successes_only: bool


def import_set(
    reader: SetReader,
    store: Path,
    meta: StoreMeta,
    plan: ImportPlan,
    kinematics: DualArmKinematics,
    say: Callable[[str], None],
) -> tuple[int, int]:
    """Adds the samples of a set to a store.

    Args:
        reader: The set.
        store: Folder of the store; made when missing.
        meta: Identity of the store.
        plan: What becomes of the set.
        kinematics: Of the robot of the set.
        say: Called with a line for every episode.

    Returns:
        Samples and episodes added.

    Raises:
        ConfigError: Actions of another robot or in other units.
        DatasetError: A damaged set.
    """
    samples = episodes = 0
    count, name = len(reader.episodes), f"lerobot_{reader.identity()}"
    origin = {"command": "xr0-sim dataset import", "config": {"set": str(reader.root)}}
    for first in range(0, count, BLOCK):
        block = range(first, min(first + BLOCK, count))
        prefix = f"{name}_{first:06d}"
        writer = ChunkWriter(store, meta, prefix, shard_samples=10**9, origin=origin)
        if writer.finished_seeds():
            say(f"{block.stop}/{count}: there already")
            continue
        for episode in block:
            added = _import_episode(reader, episode, writer, meta, plan, kinematics)
            samples, episodes = samples + added, episodes + bool(added)
            say(f"{episode + 1}/{count}: {added} samples")
        writer.flush()
    return samples, episodes


def _import_episode(
    reader: SetReader,
    episode: int,
    writer: ChunkWriter,
    meta: StoreMeta,
    plan: ImportPlan,
    kinematics: DualArmKinematics,
) -> int:
    table = reader.table(episode)
    _check_ranges(reader.root, episode, table)
    if plan.successes_only and not _succeeded(reader.root, table):
        return 0
    sampled = layout.CHUNK in table
    lacking = set(layout.sample_columns(meta.horizon, meta.grounding_dim)) - set(table)
    if sampled and lacking:
        raise DatasetError(
            f"{reader.root}: expected the columns of a sample store, missing "
            f"{', '.join(sorted(lacking))}; export the store again"
        )
    count = len(table[TASK])
    frames = range(0, count, 1 if sampled else plan.stride)
    seed = int(reader.episodes[episode].get("seed", reader.episodes[episode]["episode_index"]))
    pictures = reader.pictures(episode, meta.image_size, frames)
    for frame, images in zip(frames, pictures, strict=True):
        if sampled:
            values = _stored_sample(table, frame, meta)
        else:
            values = _cut_sample(table, frame, meta.horizon, kinematics)
            values |= {"source": plan.source, "tick": int(table["frame_index"][frame])}
        instruction = str(table[TASK][frame])
        writer.add(images=images, instruction=instruction, episode_seed=seed, **values)
    return len(frames)


def _stored_sample(table: Mapping[str, NDArray], frame: int, meta: StoreMeta) -> dict[str, Any]:
    """A sample as it was exported from a store."""
    row = {name: column[frame] for name, column in table.items()}
    arms = np.asarray(row[layout.STATE]).reshape(2, -1)
    robot = RobotState(
        joint_pos=arms[:, :JOINTS_PER_ARM],
        joint_vel=row[layout.JOINT_VEL].reshape(2, -1),
        jaw=arms[:, JOINTS_PER_ARM],
        tool_pos=row["tool_pos"].reshape(2, 3),
        tool_quat=row["tool_quat"].reshape(2, 4),
        command=row[layout.COMMAND],
    )
    known = ("grounding", "grounding_mask") if meta.grounding_dim else ()
    return {
        "robot": robot,
        "actions": row[layout.CHUNK].reshape(meta.horizon, ENV_ACTION_DIM),
        "action_tools": row["action_tools"].reshape(meta.horizon, 2, 7),
        **{name: int(row[name]) for name in ("valid_steps", "committed", "tick")},
        **{name: np.atleast_1d(row[name]) for name in known},
        "weight": float(row["weight"]),
        "source": str(row["source"]),
    }


def _cut_sample(
    table: Mapping[str, NDArray], frame: int, horizon: int, kinematics: DualArmKinematics
) -> dict[str, Any]:
    """A frame, with the actions from it on as chunk.

    What a set of others does not hold is estimated: speeds from the last two states, the targets in
    force from the action before.
    """
    states, actions = table[layout.STATE], table[layout.ACTION]
    joints, jaw = split_arms(states[frame].astype(float))
    speeds, command = table.get(layout.JOINT_VEL), table.get(layout.COMMAND)
    if speeds is not None:
        joint_vel = speeds[frame].reshape(2, JOINTS_PER_ARM)
    else:
        joint_vel = (joints - split_arms(states[max(frame - 1, 0)])[0]) * CONTROL_HZ
    if command is not None:
        in_force = command[frame]
    else:
        in_force = actions[frame - 1] if frame else states[0]
    valid = min(horizon, len(actions) - frame)
    chunk = actions[np.minimum(frame + np.arange(horizon), len(actions) - 1)]
    position, quaternion = kinematics.forward(joints)
    targets = kinematics.forward(split_arms(chunk.astype(float))[0])
    return {
        "robot": RobotState(joints, joint_vel, jaw, position, quaternion, in_force),
        "actions": chunk,
        "action_tools": np.concatenate(targets, axis=-1),
        "valid_steps": valid,
    }


def _check_ranges(root: Path, episode: int, table: Mapping[str, NDArray]) -> None:
    for name in (layout.STATE, layout.ACTION):
        values = table[name]
        beyond = np.maximum(values - JOINT_HIGH, JOINT_LOW - values).max(axis=0)
        worst = int(np.argmax(beyond))
        if beyond[worst] > BEYOND:
            column = values[:, worst]
            raise ConfigError(
                f"{root}, episode {episode}: expected {name} {layout.motor_names()[worst]} within "
                f"{JOINT_LOW[worst]:.2f} .. {JOINT_HIGH[worst]:.2f} (joints in rad, jaws 0 closed "
                f".. 1 open), got {column.min():.2f} .. {column.max():.2f}; convert its units"
            )


def _succeeded(root: Path, table: Mapping[str, NDArray]) -> bool:
    told = table.get("next.success")
    if told is None:
        raise ConfigError(
            f"--successes-only: expected the column next.success in {root}, got a set without it; "
            "leave the option out"
        )
    return bool(np.any(told))
