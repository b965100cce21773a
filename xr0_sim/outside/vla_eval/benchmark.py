"""Our tasks as a benchmark of vla-eval 0.8, synchronous and live.

In a configuration of ``vla-eval run``::

    benchmarks:
      - benchmark: "xr0_sim.outside.vla_eval.benchmark:XR0SimBenchmark"
        mode: sync                    # or live, with hz: 30
        episodes_per_task: 10
        params: {env: "block_dismantling:n_bricks=2", event: "shove"}
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from vla_eval.benchmarks.base import StepBenchmark, StepResult
from vla_eval.specs import IMAGE_RGB, LANGUAGE, DimSpec

from xr0_sim.outside.vla_eval.ours import our_process

JOINT_TARGETS = DimSpec("joints", 14, "absolute_joint_positions_and_jaws")
"""``[left joints 6 rad, left jaw 0..1, right joints 6, right jaw]``, as our actions are."""
JOINTS = DimSpec("state", 14, "joint_positions_and_jaws")


class XR0SimBenchmark(StepBenchmark):
    """A task of ours; an episode is a seed.

    An observation has ``images`` (base, left_wrist, right_wrist), ``task_description``, ``states``
    (14,) and, for our own policies, ``robot``: all of our proprioception.

    Args:
        env: Task as the command line has it, ``TASK[:field=value,...]``.
        event: What happens, ``none`` or as the command line has it.
        seed: Seed of the first episode.
        image_size: Side of the square pictures [px]; 0 for the world's.
        world: World; "" for the default.
        python: Interpreter with xr0-sim; "" for the one that ``XR0_SIM_PYTHON`` names.
    """

    render_backends: ClassVar[frozenset[str]] = frozenset({"gpu", "cpu"})

    def __init__(
        self,
        env: str = "block_dismantling",
        event: str = "none",
        seed: int = 0,
        image_size: int = 0,
        world: str = "",
        python: str = "",
    ) -> None:
        super().__init__()
        self._env, self._seed = env, int(seed)
        arguments = {"env": env, "event": event, "image_size": int(image_size), "world": world}
        self._process = our_process("task_process", "TaskProcess", arguments, python)
        self._told: dict[str, Any] = {}
        self._rest = np.zeros(14)

    @classmethod
    def configure_render(cls, mode: str) -> dict[str, str]:
        """Nothing to set: our own process chooses its renderer."""
        return {}

    def get_tasks(self) -> list[dict[str, Any]]:
        """The one task."""
        return [{"name": self._env, "suite": "xr0_sim", "seed": self._seed}]

    def reset(self, task: dict[str, Any]) -> Any:
        """Draws the scene of ``seed + episode_idx``."""
        seed = int(task.get("seed", self._seed)) + int(task.get("episode_idx", 0))
        seen = self._process.ask("reset", seed=seed)
        self._rest = np.array(seen["robot"]["command"])
        self._told = {}
        return seen

    def step(self, action: dict[str, Any]) -> StepResult:
        """One control tick."""
        targets = np.asarray(action.get("actions", action.get("action")), dtype=np.float64)
        seen = self._process.ask("step", action=targets.ravel())
        self._told = seen["told"]
        return StepResult(seen, float(self._told["reward"]), bool(self._told["over"]), {})

    def make_obs(self, raw_obs: Any, task: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        return {
            "images": raw_obs["images"],
            "task_description": raw_obs["instruction"],
            "states": raw_obs["states"],
            "robot": raw_obs["robot"],
            "tick": raw_obs["tick"],
        }

    def get_step_result(self, step_result: StepResult) -> dict[str, Any]:
        """Success, and the share of the task that was done."""
        success, progress = self._told.get("success", False), self._told.get("progress", 0.0)
        return {"success": bool(success), "progress": float(progress)}

    def get_metric_keys(self) -> dict[str, str]:
        """Means of success and progress."""
        return {"success": "mean", "progress": "mean"}

    def get_hold_action(self, last_action: dict[str, Any] | None) -> dict[str, Any]:
        """Targets are absolute: the last ones again, the arms' resting ones before the first."""
        return {"actions": self._rest.copy()} if last_action is None else last_action

    def get_metadata(self) -> dict[str, Any]:
        """The task's own time limit."""
        told = self._process.ask("describe")
        return {"max_steps": int(told["max_steps"]), "suite": "xr0_sim"}

    def get_action_spec(self) -> dict[str, DimSpec]:
        """Absolute joint and jaw targets."""
        return {"joints": JOINT_TARGETS}

    def get_observation_spec(self) -> dict[str, DimSpec]:
        """Three views, the instruction, joints and jaws."""
        views = dict.fromkeys(("base", "left_wrist", "right_wrist"), IMAGE_RGB)
        return {**views, "language": LANGUAGE, "state": JOINTS}

    def cleanup(self) -> None:
        """Ends the process."""
        self._process.close()
