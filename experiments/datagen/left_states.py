"""States that failed episodes left behind, and episodes that begin in them.

What a policy cannot get out of, its expert should: otherwise nobody can teach it. A left state is
found by playing the recorded actions of a failed episode again, so neither weights nor pictures are
needed. It is kept as the physics alone; judges and clocks begin anew.
"""

from __future__ import annotations

import io
import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from envs.tasks import parse_task
from experiments.runner.replay import Replay
from xr0_sim.atomic import write_bytes
from xr0_sim.errors import DatasetError
from xr0_sim.perturb.events import Event
from xr0_sim.record.ticklog import TickTable

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv

FORMAT_VERSION = 1
CLUTCHES = "eq_data"
"""The one model array that a closed clutch changes."""


@dataclass(frozen=True)
class LeftState:
    """Where an episode ended.

    Attributes:
        seed: Its seed, which draws the scene.
        physics: MuJoCo's integration state, its clock at zero.
        command: (14,) action that the servos were following.
        clutches: (equalities, 11) data of the welds.
    """

    seed: int
    physics: NDArray[np.float64]
    command: NDArray[np.float64]
    clutches: NDArray[np.float64]


@dataclass(frozen=True)
class LeftStates:
    """States of one environment.

    Attributes:
        env: Task.
        env_kwargs: Its arguments, complete.
        states: Where episodes ended.
    """

    env: str
    env_kwargs: Mapping[str, Any]
    states: Sequence[LeftState]


def find_left_state(
    env: DualArmEnv, seed: int, events: Sequence[Event], table: TickTable
) -> LeftState | None:
    """Plays an episode again and keeps where it ended.

    Args:
        env: Environment of the episode, without pictures if they are not to be drawn.
        seed: Episode seed.
        events: Events of the episode.
        table: Its tick log.

    Returns:
        The state; None if its goal has become another one, which a seed alone does not tell.

    Raises:
        DatasetError: What happens is not what the log says.
    """
    replay = Replay(env, seed, events, table)
    goal = _goal(env)
    deque(replay.ticks(), maxlen=0)
    if _goal(env) != goal:
        return None
    found = env.snapshot()
    physics = found.physics.copy()
    physics[0] = 0.0  # the integration state begins with the clock
    return LeftState(seed, physics, found.command, found.model[CLUTCHES])


def begin_in(env: DualArmEnv, state: LeftState) -> None:
    """Begins an undisturbed episode of the state's seed where that one ended.

    Raises:
        DatasetError: The state is not one of this environment.
    """
    env.reset_scene(state.seed)
    fresh = env.snapshot()
    for name, mine, kept in (
        ("physics", fresh.physics, state.physics),
        ("clutches", fresh.model[CLUTCHES], state.clutches),
    ):
        if mine.shape != kept.shape:
            raise DatasetError(
                f"left state of seed {state.seed}: expected {name} of shape {mine.shape}, got "
                f"{kept.shape}; make the environment that the file names"
            )
    env.restore(
        replace(
            fresh,
            physics=state.physics,
            command=state.command,
            model={**fresh.model, CLUTCHES: state.clutches},
        )
    )


def _goal(env: DualArmEnv) -> tuple[str, str]:
    return env.instruction, repr(getattr(env, "rule", None))


def write_left_states(found: LeftStates, path: Path) -> None:
    """Writes states as one npz file, atomically."""
    header = {"version": FORMAT_VERSION, "env": found.env, "env_kwargs": dict(found.env_kwargs)}
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        header=np.array(json.dumps(header)),
        seed=np.array([state.seed for state in found.states]),
        physics=np.stack([state.physics for state in found.states]),
        command=np.stack([state.command for state in found.states]),
        clutches=np.stack([state.clutches for state in found.states]),
    )
    write_bytes(path, buffer.getvalue())


def read_left_states(path: Path) -> LeftStates:
    """Reads what `write_left_states` wrote.

    Raises:
        DatasetError: There is no such file, or it is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(str(file["header"]))
            columns = {name: file[name] for name in ("seed", "physics", "command", "clutches")}
        if header["version"] != FORMAT_VERSION:
            raise ValueError(f"version {header['version']} where {FORMAT_VERSION} is read")
        rows = zip(*(columns[name] for name in columns), strict=True)
        states = [LeftState(int(seed), *rest) for seed, *rest in rows]
        parse_task(header["env"])
        return LeftStates(header["env"], header["env_kwargs"], states)
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
        raise DatasetError(
            f"{path}: expected states written by xr0-sim left-states, got {error}"
        ) from error
