"""The block task in stages, for any library that takes a Gymnasium environment."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from envs.block_dismantling.env import BlockDismantlingEnv
from envs.control_rate import check_recorded_rate
from policies.rl.controller import Controller, Situation
from policies.rl.decisions import DECISION_DIM, DECISION_TICKS
from policies.rl.features import FEATURE_DIM
from policies.rl.stages import TIME_LIMITS_S, Progress, check_stage, progress, reward, told
from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.errors import ConfigError, SimulationError

BOUND = 100.0
"""Bound of every feature; only a diverging scene reaches it."""
MAX_DRAWS = 20


class StagedBlocks(gymnasium.Env[NDArray[np.float32], NDArray[np.float32]]):
    """One brick is taken off an assembly, up to a stage.

    ## Description
    The scene, its physics and its judge are those of `envs.block_dismantling.env`. Six times a
    second the agent decides on a step of either tool and on its jaw; between two decisions the
    mover of the scripted expert makes smooth joint actions of them.

    | stage | success |
    |---|---|
    | ``reach`` | both hands stand at their bricks, ready to close |
    | ``grasp`` | each hand has its brick between its pads |
    | ``separate`` | no clutch holds the brick, it is lifted off in the hand that pulled it |
    | ``sort`` | a brick lies sorted in its tray, as the task's judge says |

    ## Action Space
    ``Box(-1, 1, (8,))`` float32, see `policies.rl.decisions`.

    ## Observation Space
    ``Box(-100, 100, (69,))`` float32, see `policies.rl.features`.

    ## Rewards
    Ten times the growth of the stage's potential, 5 for success, -0.05 per decision, see
    `policies.rl.stages`. ``info["stage_terms"]`` has the terms, ``info["stages"]`` which stages are
    done.

    ## Starting State
    As in the task.

    ## Episode End
    Terminates with success, when a brick is lost or dropped, and on a protective stop; truncates
    after 3, 4, 5 and 12 s and when the physics breaks (``info["invalid"]``).

    Args:
        stage: One of `policies.rl.stages.STAGES`.
        first_seed: Seed of the first episode of those that are reset without a seed; the next ones
            follow.
        seeds: How many there are before they begin again; None for no end.
        advised: Whether ``info["advice"]`` is what the teacher would decide next, (8,).
        **kwargs: Arguments of `BlockDismantlingEnv`; the observation is ``state``.
    """

    metadata = {  # noqa: RUF012
        "render_modes": ["rgb_array", "human"],
        "render_fps": CONTROL_HZ // DECISION_TICKS,
    }

    def __init__(
        self,
        stage: str = "separate",
        first_seed: int | None = None,
        seeds: int | None = None,
        advised: bool = False,
        **kwargs: Any,
    ) -> None:
        self.stage = check_stage(stage)
        for name in ("observation", "action_mode"):
            if name in kwargs:
                raise ConfigError(f"{name}: chosen by the stages; leave it out")
        check_recorded_rate(kwargs.get("control_hz", CONTROL_HZ), CONTROL_HZ, "stages")
        self.blocks = BlockDismantlingEnv(observation="state", **kwargs)
        if self.blocks.level.n_bricks < 2:
            raise ConfigError(
                f"n_bricks: expected 2 or more, got {self.blocks.level.n_bricks}; nothing is "
                "joined to a single brick"
            )
        self.render_mode = self.blocks.render_mode
        self.observation_space = spaces.Box(-BOUND, BOUND, (FEATURE_DIM,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (DECISION_DIM,), np.float32)
        self.limit = round(TIME_LIMITS_S[self.stage] * CONTROL_HZ)
        self.advised = advised
        self._seeds = None if first_seed is None else (first_seed, seeds)
        self._episode = 0
        self._controller: Controller | None = None
        self._situation: Situation | None = None
        self._info: dict[str, Any] = {}
        self._potential = 0.0

    def __getstate__(self) -> dict[str, Any]:
        """Pickles without solver caches; an episode under way is not carried along."""
        return {**self.__dict__, "_controller": None, "_situation": None}

    @property
    def situation(self) -> Situation:
        """What the next decision is taken on.

        Raises:
            ConfigError: Before the first reset.
        """
        if self._situation is None:
            raise ConfigError("step: expected a reset first; call env.reset(seed=...)")
        return self._situation

    @property
    def controller(self) -> Controller:
        """Aims and joint actions of this robot."""
        if self._controller is None:
            self._controller = Controller(self.blocks.kinematics)
        return self._controller

    def rewind(self, episode: int = 0) -> None:
        """The next episode without a seed has the seed ``first_seed + episode``."""
        self._episode = episode

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Draws a new scene; see `BlockDismantlingEnv` for the options."""
        super().reset(seed=seed)
        if seed is None and self._seeds is not None:
            first, count = self._seeds
            seed = first + (self._episode if count is None else self._episode % count)
            self._episode += 1
        for _ in range(MAX_DRAWS):
            _, self._info = self.blocks.reset(seed=seed, options=options)
            found = self.controller.situation(self.blocks.robot_state(), self.blocks.privileged())
            if found is not None:
                break
            seed = None  # an assembly without a two-handed job: another one
        else:
            raise ConfigError(f"reset: found no pair of bricks for two hands in {MAX_DRAWS} scenes")
        self._situation = found
        now = self._measure()
        self._potential = now.potential(self.stage)
        return self._features(), {**self._info, **told(now, self.stage), "is_success": False}

    def step(
        self, action: NDArray[np.floating]
    ) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Plays one decision (8,) for `DECISION_TICKS` ticks."""
        given = np.asarray(action, dtype=np.float64)
        if given.shape != (DECISION_DIM,) or not np.isfinite(given).all():
            raise ConfigError(
                f"action: expected ({DECISION_DIM},) finite numbers, got {given.shape}"
            )
        goals = self.controller.goals(self.situation, given)
        over = False
        try:
            for _ in range(DECISION_TICKS):
                tick_action = self.controller.action(self.blocks.robot_state(), goals)
                _, over, _, self._info = self.blocks.advance(tick_action)
                if over:
                    break
        except SimulationError as error:
            broken = {**self._info, "invalid": str(error), "success": False, "is_success": False}
            return self._features(), 0.0, False, True, broken
        last = self.situation
        found = self.controller.situation(
            self.blocks.robot_state(),
            self.blocks.privileged(),
            last.pair,
            keeps=self.stage != "sort",
        )
        assert found is not None
        self._situation = found
        return self._judge()

    def _judge(self) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        now, info = self._measure(), self._info
        stopped, bricks = bool(info["protective_stop"]), info["bricks"]
        success = now.success(self.stage) and not stopped
        gone = "lost" in bricks or info["drops"] > 0
        potential = now.potential(self.stage)
        earned = reward(self._potential, potential, success)
        self._potential = potential
        truncated = self.blocks.tick >= self.limit
        if self.render_mode == "human":
            self.blocks.render()
        outcome: dict[str, Any] = {"success": success, "is_success": success}
        if self.advised:
            outcome["advice"] = self.controller.advice(self.situation)
        told_now = {**info, **told(now, self.stage), **outcome}
        return self._features(), earned, success or gone or stopped, truncated, told_now

    def render(self) -> Any:
        """A picture of the scene, see `BlockDismantlingEnv.render`."""
        return self.blocks.render()

    def close(self) -> None:
        """Frees the renderers."""
        self.blocks.close()

    def _measure(self) -> Progress:
        now = self.situation
        return progress(now.pair, now.hands, now.state, self._info["bricks"])

    def _features(self) -> NDArray[np.float32]:
        return np.clip(self.situation.features(), -BOUND, BOUND)
