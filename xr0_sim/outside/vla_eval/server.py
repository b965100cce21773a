"""Our policies as a model server of vla-eval 0.8.

::

    python -m xr0_sim.outside.vla_eval.server --address 127.0.0.1:8000 \
        --args.benchmark=libero --args.checkpoint=DIR

``benchmark: libero`` serves released XR-0 weights to its LIBERO benchmark, ``calvin_abc`` and
``calvin_abcd`` to its CALVIN, ``simpler_widowx`` and ``simpler_google`` to its SimplerEnv;
``benchmark: TASK`` a policy of ours to `XR0SimBenchmark`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from vla_eval.model_servers.base import SessionContext
from vla_eval.model_servers.predict import PredictModelServer
from vla_eval.model_servers.serve import run_server
from vla_eval.specs import (
    GRIPPER_01,
    GRIPPER_CLOSE_NEG,
    GRIPPER_CLOSE_POS,
    IMAGE_RGB,
    LANGUAGE,
    POSITION_DELTA,
    RAW,
    ROTATION_AA,
    ROTATION_EULER,
    STATE_EEF_POS_AA_GRIP,
    STATE_EEF_POS_EULER_GRIP,
    DimSpec,
)

from xr0_sim.outside.vla_eval.benchmark import JOINT_TARGETS, JOINTS
from xr0_sim.outside.vla_eval.ours import our_process

LIBERO = "libero"
CALVIN = ("calvin_abc", "calvin_abcd")
SIMPLER = ("simpler_widowx", "simpler_google")


class XR0SimServer(PredictModelServer):
    """A policy of ours behind vla-eval's protocol.

    Args:
        benchmark: ``libero``, ``calvin_abc``, ``calvin_abcd``, ``simpler_widowx``,
            ``simpler_google``, or a task of ours as the command line has it.
        policy: Policy of ours, ``name[:field=value,...]``.
        checkpoint: Its weights; "" for the shipped ones of the task.
        options: Further options of the command line for the weights, e.g. ``{device: cuda}``.
        chunk_size: Executed rows of a chunk; 0 for what suits the task.
        python: Interpreter with xr0-sim; "" for the one that ``XR0_SIM_PYTHON`` names.
        given: See `PredictModelServer`.
    """

    def __init__(
        self,
        *,
        benchmark: str = LIBERO,
        policy: str = "xr0",
        checkpoint: str = "",
        options: dict[str, Any] | None = None,
        chunk_size: int = 0,
        python: str = "",
        **given: Any,
    ) -> None:
        arguments = {
            "benchmark": benchmark,
            "policy": policy,
            "checkpoint": checkpoint,
            "options": dict(options or {}),
        }
        self._process = our_process("policy_process", "PolicyProcess", arguments, python)
        self._described = self._process.ask("describe")
        rows = chunk_size or int(self._described["execution_horizon"])
        super().__init__(chunk_size=rows, **given)
        self._benchmark = benchmark
        self._numbers: dict[str, int] = {}

    async def on_observation(self, obs: dict[str, Any], ctx: SessionContext) -> None:
        """Drops what is left of a chunk where CALVIN's next subtask begins."""
        if obs.get("episode_restart"):
            self._chunk_buffers.pop(ctx.session_id, None)
        await super().on_observation(obs, ctx)

    def predict(self, obs: dict[str, Any], ctx: SessionContext) -> dict[str, Any]:
        """A chunk, (rows, 7) or (rows, 14)."""
        if ctx.is_first:
            self._numbers[ctx.session_id] = 0
        number = self._numbers.get(ctx.session_id, 0)
        self._numbers[ctx.session_id] = number + 1
        task = getattr(ctx, "task", None) or {}
        seed = int(task.get("seed", 0)) + int(task.get("episode_idx", 0))
        seen = {
            name: obs[name]
            for name in ("images", "robot", "states", "task_description")
            if name in obs
        }
        told = self._process.ask(
            "predict", observation=seen, seed=seed, number=number, tick=int(ctx.step)
        )
        return {"actions": np.asarray(told["actions"], dtype=np.float32)}

    def get_action_spec(self) -> dict[str, DimSpec]:
        """The benchmark's own action."""
        if self._benchmark in CALVIN:
            turn = {"rotation": ROTATION_EULER, "gripper": GRIPPER_CLOSE_NEG}
            return {"position": POSITION_DELTA, **turn}
        if self._benchmark in SIMPLER:
            gripper = GRIPPER_01
        elif self._benchmark == LIBERO:
            gripper = GRIPPER_CLOSE_POS
        else:
            return {"joints": JOINT_TARGETS}
        return {"position": POSITION_DELTA, "rotation": ROTATION_AA, "gripper": gripper}

    def get_observation_spec(self) -> dict[str, DimSpec]:
        """What the policy looks at."""
        if self._benchmark == LIBERO:
            views = {"agentview": IMAGE_RGB, "wrist": IMAGE_RGB}
            return {**views, "language": LANGUAGE, "state": STATE_EEF_POS_AA_GRIP}
        if self._benchmark in CALVIN:
            views = {"rgb_static": IMAGE_RGB, "rgb_gripper": IMAGE_RGB}
            return {**views, "language": LANGUAGE, "state": STATE_EEF_POS_EULER_GRIP}
        if self._benchmark in SIMPLER:
            return {"primary": IMAGE_RGB, "language": LANGUAGE, "state": RAW}
        views = dict.fromkeys(self._described["views"], IMAGE_RGB)
        return {**views, "language": LANGUAGE, "state": JOINTS}

    def get_observation_params(self) -> dict[str, Any]:
        """Asks vla-eval's benchmark for what the policy looks at."""
        if self._benchmark in (LIBERO, *CALVIN):
            return {"send_wrist_image": True, "send_state": True}
        if self._benchmark in SIMPLER:
            return {"send_state": True}
        side = self._described["image_size"]
        return {"image_size": int(side)} if side else {}


if __name__ == "__main__":
    run_server(XR0SimServer)
