"""A correction head behind the runtime's port: observation and plan in, action out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from envs.robot.kinematics import DualArmKinematics
from policies.xr0.residual_action import ResidualActions
from xr0_sim.errors import ConfigError
from xr0_sim.model.correction.features import (
    correction_features,
    joined_targets,
    measured_targets,
    rows_ahead,
)
from xr0_sim.model.correction.residual import beyond
from xr0_sim.model.correction.views import small_views
from xr0_sim.model.spec.action_layout import ArmTargets
from xr0_sim.runtime.correction import CorrectionRequest

if TYPE_CHECKING:
    from xr0_sim.model.correction.head import CorrectionHead


class Corrector:
    """Implements the methods of `xr0_sim.runtime.correction.CorrectingChunkModel` with a head.

    Args:
        head: The network.
        cameras: Views in the order it was trained with.
        kinematics: Of the arms; those of `policies.xr0.chunk_model` if None.
    """

    def __init__(
        self,
        head: CorrectionHead,
        cameras: Sequence[str],
        kinematics: DualArmKinematics | None = None,
    ) -> None:
        self._head, self._cameras = head, tuple(cameras)
        self._actions = ResidualActions(kinematics)
        self._then: tuple[object, NDArray[np.uint8]] | None = None

    @classmethod
    def load(cls, checkpoint: Path, cameras: Sequence[str]) -> Corrector:
        """The head of a policy, see `xr0_sim.model.correction.files.load_correction`."""
        from xr0_sim.model.correction.files import load_correction

        return cls(load_correction(checkpoint), cameras)

    def correct(self, request: CorrectionRequest) -> NDArray[np.float64]:
        """See `CorrectingChunkModel.correct`."""
        residual = self.residual(request)
        if not residual.any():
            return request.planned  # exactly, and without inverse kinematics
        return self._actions.add(request.planned, residual, request.observation.robot)

    def residual(self, request: CorrectionRequest) -> NDArray[np.float64]:
        """What the head adds to the planned row (14,), see `xr0_sim.model.correction.residual`."""
        import torch

        robot, horizon = request.observation.robot, len(request.rows)
        if horizon != self._head.config.horizon:
            raise ConfigError(
                f"correction head: expected chunks of {self._head.config.horizon} rows, got "
                f"{horizon}; train one for this policy"
            )
        ahead = request.rows[rows_ahead(request.index, horizon)]
        # The first of them is the action itself, whatever a strategy made of the row.
        through = np.concatenate([robot.command[None], request.planned[None], ahead[1:]])
        targets = self._actions.targets(through)
        captured = measured_targets(request.captured.robot)
        features = correction_features(
            robot,
            joined_targets(_rows(targets, 0, 1), captured, _rows(targets, 1, None)),
            request.index,
            request.age_ticks,
            horizon,
        )
        size = self._head.config.view_size
        now = small_views(request.observation.images, self._cameras, size)
        with torch.inference_mode():
            residual = self._head(
                torch.from_numpy(features)[None],
                torch.from_numpy(now)[None],
                torch.from_numpy(self._captured_views(request, size))[None],
            )
        return beyond(residual[0].numpy().astype(np.float64), self._head.config.dead_zone)

    def correction_flops(self, request: CorrectionRequest) -> float:
        """See `CorrectingChunkModel.correction_flops`."""
        return self._head.flops()

    def _captured_views(self, request: CorrectionRequest, size: int) -> NDArray[np.uint8]:
        """Views of the capture, made once a chunk."""
        if self._then is None or self._then[0] is not request.captured:
            views = small_views(request.captured.images, self._cameras, size)
            self._then = request.captured, views
        return self._then[1]


def _rows(targets: ArmTargets, start: int, stop: int | None) -> ArmTargets:
    columns = (targets.joint_pos, targets.jaw, targets.tool_pos, targets.tool_quat)
    return ArmTargets(*(column[start:stop] for column in columns))
