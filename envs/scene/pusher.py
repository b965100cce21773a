"""A paddle that comes out of nowhere, pushes something across the table, and goes again.

It is a box on a base that events place: along the push (x of the base) and, for a hand that presses
on cloth, up and down (z) the box slides on joints, driven by a force with a limit. So it stops at
what it cannot move. Between pushes it waits far above the scene, where no camera sees it ::

    parked -> [press] -> sweep (0.1 .. 0.2 s) -> withdraw -> parked
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.scene.stage import COLLIDE_ARM, COLLIDE_OBJECT, COLLIDE_STATIC

NAME = "paddle"
HOME = (0.0, 0.0, 30.0)
"""Where the base waits: beyond what the cameras draw [m]."""
FORCE_LIMIT = 15.0
"""Strongest drive along the push [N]; chosen: a brisk push of a hand, half of what the servos of an
arm hold at the reach of the table's middle."""
MEAN_SPEED, FASTEST_MEAN_SPEED = 0.3, 0.4
"""Mean speed of a sweep [m/s]; chosen, so that 20 to 80 mm take 0.1 to 0.2 s."""
FASTEST = 0.7
"""Largest speed of the paddle [m/s]; the top of the fastest sweep is at 0.62."""
SHORTEST_S, LONGEST_S = 0.1, 0.2
RISE, FALL = 0.2, 0.5
"""Shares of a sweep in which it gains and loses speed; it brakes softly, so that what is pushed
hardly slides on by itself."""
PRESS_S, WITHDRAW_S = 0.06, 0.1
RETREAT = 0.015
"""How far the paddle backs off before it disappears [m]."""
LIFT = 0.03
"""How far a pressing hand rises before it disappears [m]."""
DAMPING, STIFFNESS = 0.7, 0.2
"""Gains of the drive, in units of mass per physics step and mass per squared step; with both poles
of the sampled loop at 0.5 to 0.6 it follows within a few steps and never rings."""


@dataclass(frozen=True)
class Paddle:
    """Shape of a paddle.

    Attributes:
        half_size: Half extents along the push, across it, and up [m].
        mass: [kg]
        press_n: Force it presses down with [N]; 0 for a blade that does not.
        friction: Sliding friction of its faces.
        solver_steps: Iterations of the constraint solver while it pushes; 0 for the scene's own.
    """

    half_size: tuple[float, float, float]
    mass: float = 0.1
    press_n: float = 0.0
    friction: float = 0.3
    solver_steps: int = 0

    @property
    def reach(self) -> NDArray[np.float64]:
        """Half extents (3,) [m]."""
        return np.array(self.half_size)


@dataclass(frozen=True)
class Stroke:
    """One push as planned.

    Attributes:
        tick: Control tick in which it begins.
        which: What is pushed, as the task counts it.
        base: Middle of the paddle before the push (3,), world [m].
        heading: Direction of the push about the vertical [rad].
        travel: How far the paddle moves [m].
        depth: How far down it presses at most, towards what lies below it [m].
        asked_m: How far the thing shall move [m].
        from_m: Middle of the thing before the push, x and y [m].
    """

    tick: int
    which: tuple[int, ...]
    base: tuple[float, float, float]
    heading: float
    travel: float
    depth: float
    asked_m: float
    from_m: tuple[float, float]

    @property
    def sweep_s(self) -> float:
        """Duration of the sweep [s]."""
        return sweep_s(self.travel)


@dataclass(frozen=True)
class Push:
    """What came of a push, in ``info["pushes"]``.

    Attributes:
        tick: Control tick in which it began; that of its event.
        asked_m: How far the thing was to move [m].
        moved_m: How far its middle had moved when the paddle was gone [m].
        duration_s: Duration of the sweep [s].
        peak_force_n: Largest force between the paddle and what it met, along the push [N].
    """

    tick: int
    asked_m: float
    moved_m: float
    duration_s: float
    peak_force_n: float


def sweep_s(travel: float) -> float:
    """Duration of a sweep over `travel` [m], in [s]."""
    usual = min(max(travel / MEAN_SPEED, SHORTEST_S), LONGEST_S)
    return max(usual, travel / FASTEST_MEAN_SPEED)


def sweep(share: float) -> tuple[float, float, float]:
    """Way, speed and acceleration at a share of the time of a sweep of length 1 in time 1.

    Speed rises in a straight line, stays, and falls in a straight line to zero.
    """
    top = 1.0 / (1.0 - (RISE + FALL) / 2)
    if share >= 1.0:
        return 1.0, 0.0, 0.0
    if share < RISE:
        return top * share**2 / (2 * RISE), top * share / RISE, top / RISE
    if share < 1.0 - FALL:
        return top * (share - RISE / 2), top, 0.0
    left = 1.0 - share
    return 1.0 - top * left**2 / (2 * FALL), top * left / FALL, -top / FALL


def add_paddle(spec: mujoco.MjSpec, paddle: Paddle) -> None:
    """Adds the parked paddle to a scene; before its objects, whose joints come last."""
    base = spec.worldbody.add_body(name=f"{NAME}_base", mocap=True, pos=list(HOME))
    body = base.add_body(name=NAME, gravcomp=1.0)
    axes = {"push": [1, 0, 0], "press": [0, 0, 1]} if paddle.press_n else {"push": [1, 0, 0]}
    for name, axis in axes.items():
        body.add_joint(
            name=f"{NAME}_{name}", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=axis, damping=0.1
        )
    body.add_geom(
        name=NAME,
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=list(paddle.half_size),
        mass=paddle.mass,
        rgba=[0.93, 0.45, 0.10, 1.0],
        contype=COLLIDE_OBJECT,
        conaffinity=COLLIDE_ARM | COLLIDE_OBJECT | COLLIDE_STATIC,
        condim=3,
        friction=[paddle.friction, 0.005, 0.0001],
        solref=[0.008, 1],
        group=1,
    )


class _Axis:
    """One driven joint of the paddle."""

    def __init__(self, model: mujoco.MjModel, name: str, mass: float) -> None:
        joint = model.joint(f"{NAME}_{name}")
        self.qpos, self.dof = int(joint.qposadr[0]), int(joint.dofadr[0])
        step = float(model.opt.timestep)
        self._mass, self._damping = mass, DAMPING * mass / step
        self._stiffness = STIFFNESS * mass / step**2

    def drive(
        self,
        data: mujoco.MjData,
        goal: tuple[float, float, float],
        fastest: float,
        low: float,
        high: float,
    ) -> None:
        """Applies the force that follows a goal (position, speed, acceleration) within limits.

        What was held up catches up no faster than `fastest` [m/s]: it does not dash into what
        stands behind.
        """
        way, speed, acceleration = goal
        speed += self._stiffness / self._damping * (way - data.qpos[self.qpos])
        speed = min(max(speed, -fastest), fastest)
        force = self._mass * acceleration + self._damping * (speed - data.qvel[self.dof])
        data.qfrc_applied[self.dof] = min(max(force, low), high)

    def stop(self, data: mujoco.MjData) -> None:
        """Puts the joint back to its middle, at rest."""
        data.qpos[self.qpos] = data.qvel[self.dof] = data.qfrc_applied[self.dof] = 0.0
        data.qacc_warmstart[self.dof] = 0.0


@dataclass(frozen=True)
class _Progress:
    """How far a push has come.

    Attributes:
        steps: Physics steps since it began.
        peak: Largest force so far [N].
        turned_at: Place along the push at which the paddle began to withdraw [m].
    """

    steps: int = 0
    peak: float = 0.0
    turned_at: float | None = None


class Pusher:
    """The paddle of one compiled scene, and the push it is about.

    Args:
        model: The scene.
        paddle: Shape it was added with.

    Attributes:
        done: Pushes of the episode that are over.
    """

    def __init__(self, model: mujoco.MjModel, paddle: Paddle) -> None:
        self.paddle = paddle
        self._model, self._solver_steps = model, int(model.opt.iterations)
        self.body = model.body(NAME).id
        self._mocap = int(model.body(f"{NAME}_base").mocapid[0])
        self._step_s = float(model.opt.timestep)
        self._push = _Axis(model, "push", paddle.mass)
        self._press = _Axis(model, "press", paddle.mass) if paddle.press_n else None
        self._press_s = PRESS_S if paddle.press_n else 0.0
        self.stroke: Stroke | None = None
        self._progress = _Progress()
        self.done: tuple[Push, ...] = ()

    @property
    def busy(self) -> bool:
        """Whether a push is under way."""
        return self.stroke is not None

    def place(self, data: mujoco.MjData, stroke: Stroke) -> None:
        """Puts the paddle where a push begins, without beginning it."""
        half = stroke.heading / 2
        data.mocap_pos[self._mocap] = stroke.base
        data.mocap_quat[self._mocap] = [math.cos(half), 0.0, 0.0, math.sin(half)]

    def begin(self, data: mujoco.MjData, stroke: Stroke) -> None:
        """Begins a push with the coming physics step."""
        self.place(data, stroke)
        self.stroke, self._progress = stroke, _Progress()
        self._set_solver()

    def _set_solver(self) -> None:
        """Gives the solver the iterations that the scene needs now."""
        steps = self.paddle.solver_steps if self.busy else 0
        self._model.opt.iterations = steps or self._solver_steps

    def drive(self, data: mujoco.MjData) -> None:
        """Sets the forces of the coming physics step; to be called before each while busy."""
        stroke, progress = self.stroke, self._progress
        assert stroke is not None
        time = progress.steps * self._step_s
        peak = max(progress.peak, abs(float(data.qfrc_constraint[self._push.dof])))
        turned_at = progress.turned_at
        sweep_time = time - self._press_s
        back_time = sweep_time - stroke.sweep_s
        if back_time >= 0.0 and turned_at is None:
            turned_at = float(data.qpos[self._push.qpos])
        if turned_at is None:
            goal = _timed(max(sweep_time, 0.0), stroke.sweep_s, 0.0, stroke.travel)
        else:
            retreat = 0.0 if self._press else RETREAT
            goal = _timed(back_time, WITHDRAW_S, turned_at, turned_at - retreat)
        self._push.drive(data, goal, FASTEST, -FORCE_LIMIT, FORCE_LIMIT)
        if self._press is not None:
            if turned_at is None:
                down = _timed(time, PRESS_S, 0.0, -stroke.depth)
                self._press.drive(data, down, FASTEST, -self.paddle.press_n, FORCE_LIMIT)
            else:
                up = _timed(back_time, WITHDRAW_S, -stroke.depth, LIFT)
                self._press.drive(data, up, FASTEST, -self.paddle.press_n, FORCE_LIMIT)
        first = progress.steps == 0
        self._progress = replace(
            progress,
            steps=progress.steps + 1,
            # Before the first step of a push the force is that of the step before it.
            peak=0.0 if first else peak,
            turned_at=turned_at,
        )

    def over(self) -> bool:
        """Whether the push under way has run its time."""
        if self.stroke is None:
            return False
        whole = self._press_s + self.stroke.sweep_s + WITHDRAW_S
        return self._progress.steps * self._step_s >= whole

    def end(self, data: mujoco.MjData, middle: NDArray[np.float64]) -> None:
        """Parks the paddle and takes down what came of the push.

        Args:
            data: State of the scene.
            middle: Where the middle of the thing is now, x and y first [m].
        """
        stroke = self.stroke
        assert stroke is not None
        data.mocap_pos[self._mocap] = HOME
        data.mocap_quat[self._mocap] = [1.0, 0.0, 0.0, 0.0]
        self._push.stop(data)
        if self._press is not None:
            self._press.stop(data)
        moved = math.dist(stroke.from_m, middle[:2].tolist())
        push = Push(stroke.tick, stroke.asked_m, moved, stroke.sweep_s, self._progress.peak)
        self.done = (*self.done, push)
        self.stroke = None
        self._set_solver()

    def told(self) -> tuple[dict[str, float], ...]:
        """The pushes that are over as plain dicts, for the info of a tick."""
        return tuple(asdict(push) for push in self.done)

    def snapshot(self) -> Any:
        """State outside the physics."""
        return self.stroke, self._progress, self.done

    def restore(self, state: Any) -> None:
        """Continues from a snapshot."""
        self.stroke, self._progress, self.done = state
        self._set_solver()


def _timed(time: float, whole: float, start: float, end: float) -> tuple[float, float, float]:
    """Place, speed and acceleration at a time of a sweep from one place to another."""
    way, speed, acceleration = sweep(time / whole)
    span = end - start
    return start + span * way, span * speed / whole, span * acceleration / whole**2
