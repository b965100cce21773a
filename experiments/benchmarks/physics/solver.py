"""Whether the constraint solver may be trusted: dense against sparse algebra, and convergence."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

NEWTON = int(mujoco.mjtSolver.mjSOL_NEWTON)
JACOBIANS = (int(mujoco.mjtJacobian.mjJAC_DENSE), int(mujoco.mjtJacobian.mjJAC_SPARSE))


def disagreement(model: mujoco.MjModel, state: mujoco.MjData, solver: int | None = None) -> float:
    """Largest difference of accelerations by dense and sparse algebra, over the largest of them.

    Conjugate gradients let rounding grow from iteration to iteration: 1e-14 after one, 1e-10 after
    5, 5e-6 after 20, 5e-4 after 50 on the states of two towels; what they differ by says little
    about the algebra. Newton's method on the same states differs by 3e-14.

    Args:
        model: The scene; left as it was.
        state: The state to judge; left as it was.
        solver: `mujoco.mjtSolver` by which to compare; None: that of the scene.
    """
    usual = model.opt.jacobian, model.opt.solver
    if solver is not None:
        model.opt.solver = solver
    try:
        dense, sparse = (_accelerations(model, state, kind) for kind in JACOBIANS)
    finally:
        model.opt.jacobian, model.opt.solver = usual
    return float(np.abs(dense - sparse).max() / np.abs(dense).max())


def _accelerations(
    model: mujoco.MjModel, state: mujoco.MjData, jacobian: int
) -> NDArray[np.float64]:
    data = mujoco.MjData(model)
    mujoco.mj_copyData(data, model, state)
    model.opt.jacobian = jacobian
    mujoco.mj_forward(model, data)
    return data.qacc.copy()


class SolverLog:
    """How often the solver ran out of iterations.

    Args:
        model: The compiled scene.
    """

    def __init__(self, model: mujoco.MjModel):
        self._most = int(model.opt.iterations)
        self._out = self._steps = 0

    def read(self, data: mujoco.MjData) -> None:
        """Takes in the last physics step."""
        self._out += int(data.solver_niter.max()) >= self._most
        self._steps += 1

    def figures(self) -> dict[str, float]:
        """Share of the steps that the solver ended at its last iteration."""
        return {"unconverged_share": self._out / max(1, self._steps)}
