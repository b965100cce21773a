"""A recorded episode played again: its actions in the simulator, without the policy.

Neither weights nor a strategy are needed. What is played stands for the episode only if robot,
rewards and events are those of the tick log; the first tick where they are not ends it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from xr0_sim.errors import DatasetError
from xr0_sim.perturb.events import Event
from xr0_sim.record.ticklog import TickTable
from xr0_sim.types import InferenceMoment

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv

SAME = 1e-9
"""Joints [rad] and rewards that differ by more from the log belong to another episode; chosen."""


class Replay:
    """An episode of a tick log in a simulator of its own.

    Args:
        env: Environment of the episode; reset here.
        seed: Episode seed.
        events: Events of the episode; none for its twin.
        table: Its tick log.

    Attributes:
        success: One entry per tick played: whether the task was done at its end.
    """

    def __init__(
        self, env: DualArmEnv, seed: int, events: Sequence[Event], table: TickTable
    ) -> None:
        self._env, self._seed, self._table = env, seed, table
        self.success: list[bool] = []
        env.reset_scene(seed, {"events": list(events)})

    def ticks(self) -> Iterator[int]:
        """Yields each tick's number at its start, with the environment in that state.

        When it is exhausted the environment is at the end of the episode.

        Raises:
            DatasetError: What happens is not what the log says.
        """
        env, table = self._env, self._table
        for row, action in enumerate(table["action"]):
            self._check_robot(row)
            yield row
            env.note_inferences(inferences_begun(table, row))
            reward, _, _, info = env.advance(action)
            told = str(table["events"][row])
            fired = ",".join(event.kind for event in info["events"])
            if abs(reward - table["reward"][row]) > SAME or told != fired:
                raise self._other(row, "reward and events")
            self.success.append(bool(info["success"]))

    def _check_robot(self, row: int) -> None:
        told, found = self._table["joint_pos"][row], self._env.robot_state().joint_pos.ravel()
        if np.abs(told - found).max() > SAME:
            raise self._other(row, "joints")

    def _other(self, row: int, what: str) -> DatasetError:
        return DatasetError(
            f"seed {self._seed}, tick {row}: expected the {what} of the tick log, got others; use "
            "the versions that the run's card names"
        )


def inferences_begun(table: TickTable, tick: int) -> list[InferenceMoment]:
    """The inference captured in a tick as triggers see it, rebuilt from the log; none or one.

    A refresh is not told apart from a full inference; no trigger asks.
    """
    number = int(table["started"][tick])
    due = tick + int(table["d_ceil"][tick])
    if number < 0 or due == tick:
        return []
    return [InferenceMoment(number, tick, due, int(table["prefix_steps"][tick]))]
