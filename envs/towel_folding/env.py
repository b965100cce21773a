"""The towel-folding task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

import envs.towel_folding.events  # noqa: F401  (registers what may happen here)
from envs.dual_arm import Assessment, DualArmEnv
from envs.reward import near
from envs.robot import JAW_STROKE
from envs.scene import CLOTH, base_scene
from envs.towel_folding.assist import GRASPS, GraspAssist, add_ties
from envs.towel_folding.cloth import (
    PAD_FRICTION,
    ClothConfig,
    add_air_drag,
    add_towel,
    rest_grid,
    soften_hands,
    towel_dofs,
)
from envs.towel_folding.contacts import GRIP_JAW, NO_TOUCH, NOTHING, ContactReader, Touch
from envs.towel_folding.crossing import crossings
from envs.towel_folding.folding import (
    CORNER_LIMIT,
    MIRROR_LIMIT,
    Fold,
    FoldFit,
    corners,
    measure,
)
from envs.towel_folding.judging import STAGES, count_made, judge
from envs.towel_folding.props import Props, add_props
from envs.towel_folding.setting import SETTLE_S, crumple, flat_points, plane_motion, run
from envs.towel_folding.state import TowelState
from envs.towel_folding.wording import Level, check_folds, sample_folds, write_instruction
from xr0_sim.conventions import ARMS
from xr0_sim.errors import unknown_name

REST_SPEED = 0.03
"""A towel is at rest while no mass point is faster [m/s]."""
REST_TICKS = 15
OPEN_JAW = 0.15
"""Opening above which a hand counts as open."""
CLOSED_COMMAND = 0.05
MISSED_JAW = 0.012
"""A hand that was told to close and is closed further than this holds nothing."""
PICTURE_FACETS = (12, 8)
"""Slices and stacks of round shapes in observations: half the cost of a picture of 128 px, and
hardly a pixel differs."""
CRUMPLES = 20
"""How often a towel that fell flat, or through itself, is thrown again."""
SPOT_RADIUS = 0.05
"""How far from the staging spot the towel's middle may lie [m]."""


class TowelFoldingEnv(DualArmEnv):
    """Two arms fold, unfold and spread a square towel.

    ## Description
    A 0.30 x 0.30 m towel, printed on one side, lies on the table. Two hands hold it by friction
    alone. Which edge goes where is stated in the instruction; folding the wrong way does not count.

    | level | task |
    |---|---|
    | ``half`` | one fold, away from or toward the operator |
    | ``quarter`` | that, then one to the left or right |
    | ``flatten`` | starts crumpled; spread it |
    | ``full`` | starts crumpled; spread it, fold twice, place it on the marked spot |

    ## Action Space
    ``Box(-1, 1, (14,))`` float32, as in `envs.block_dismantling.env.BlockDismantlingEnv`.

    ## Observation Space
    ``Dict``; ``observation="state"`` has ``privileged`` instead of the pictures.

    | key | shape | content | unit |
    |---|---|---|---|
    | ``image_base``, ``image_left_wrist``, ``image_right_wrist`` | (S, S, 3) uint8 | camera views | |
    | ``proprio`` | (54,) float32 | joint pos 12, joint vel 12, jaw 2, tool pos 6, tool quat 8, command 14 | rad, rad/s, 1, m, 1, as action |
    | ``instruction`` | (256,) uint8 | zero-padded UTF-8 | |
    | ``privileged`` | (3 grid² + 14,) float32 | `TowelState.to_vector` | m, 1 |

    ## Rewards
    Weighted sum of terms in [0, 1], also in ``info["reward_terms"]``.

    | term | weight | meaning |
    |---|---|---|
    | ``made`` | 0.4 | share of folds made |
    | ``folded`` | 0.3 | nearness of mirror partners (of the flat shape for ``flatten``) |
    | ``corners`` | 0.15 | nearness of the corners that belong together |
    | ``held`` | 0.1 | share of moving corners held or in place |
    | ``reach`` | 0.05 | nearness of the tools to the moving corners |

    ## Starting State
    Middle in x, y ±4 cm, yaw ±15°, mild ripples; crumpled levels: lifted by a random point and
    dropped. Arms at rest.

    ## Episode End
    Terminates when the towel is folded as asked, at rest for 0.5 s, with open hands off it, or when
    the physics fails (``info["failure"]``); truncation is the wrapper's. Folded means, in the
    towel's own frame: mean distance of mirror partners <= 0.10 L, corners <= 0.12 L, footprint
    IoU >= 0.80, the moved half on top, flat. Progress counts the stages of every fold.

    ## Arguments
    ``level`` half | quarter | flatten | full, ``grid`` 9 | 13 | 17 mass points along a side,
    ``grasp`` friction | assist (see `envs.towel_folding.assist`; told by ``info["grasp"]``), and
    those of `envs.dual_arm.DualArmEnv`.
    Reset options: ``events``, ``instruction``, ``folds`` (direction, or one per fold: away, toward,
    left, right).

    ## Version History
    v0: first version.
    """  # noqa: E501

    reward_weights = {  # noqa: RUF012
        "made": 0.4,
        "folded": 0.3,
        "corners": 0.15,
        "held": 0.1,
        "reach": 0.05,
    }
    option_names = ("folds",)

    def __init__(
        self,
        *,
        level: str = "half",
        grid: int = 13,
        grasp: str = "friction",
        timestep_s: float = 1 / 180,
        **kwargs: Any,
    ):
        self.level = Level(level)
        self.cloth = ClothConfig(grid)
        if grasp not in GRASPS:
            raise unknown_name("grasp", str(grasp), GRASPS)
        self.grasp = grasp
        super().__init__(timestep_s=timestep_s, **kwargs)

    # ---------------------------------------------------------------- scene
    def _build(self, options: Mapping[str, Any]) -> mujoco.MjSpec:
        self.folds = sample_folds(self.np_random, self.level)
        if "folds" in options:
            self.folds = check_folds(options["folds"], self.level)
        spec = base_scene("towel_folding", self.timestep_s, CLOTH)
        spec.visual.quality.numslices, spec.visual.quality.numstacks = PICTURE_FACETS
        soften_hands(spec)
        add_props(spec, spot=self.level.name == "full")
        add_towel(spec, self.cloth, self.level.crumpled)
        if self.grasp == "assist":
            add_ties(spec, self.cloth.grid**2)
        return spec

    def _start(self, options: Mapping[str, Any]) -> str:
        rng, model, data = self.np_random, self.model, self.data
        self._dofs = towel_dofs(model, self.cloth.grid)
        joint = int(model.body("towel_0").jntadr[0])
        self._qpos = int(model.jnt_qposadr[joint]) + np.arange(self._dofs.size)
        add_air_drag(model, self._dofs)
        self._contacts = ContactReader(model)
        self._props = Props(model)
        assisted = self.grasp == "assist"
        self._assist = GraspAssist(model, self.cloth.grid**2) if assisted else None
        self._touch = NO_TOUCH
        self._rest = 0
        self._stage = 0
        self._made = self._previous_made = 0
        self._failures = [0, 0]
        self._peak = [0.0, 0.0]
        self._closed_on_nothing = [False, False]
        for _ in range(CRUMPLES if self.level.crumpled else 1):
            self._place(flat_points(rng, self.cloth.grid))
            if self.level.crumpled:
                crumple(model, data, self.cloth.grid, rng)
            run(model, data, SETTLE_S)
            if not self.level.crumpled or self._is_heap():
                break
        data.time = 0.0
        return write_instruction(rng, self.level, self.folds)

    def _is_heap(self) -> bool:
        """Whether a thrown towel is neither flat nor, faster than contacts act, through itself."""
        flat = measure(self.points, ()).good(0)
        return not flat and crossings(self.points, self.cloth.grid) == 0

    def _place(self, points: NDArray[np.float64]) -> None:
        """Puts the mass points (grid², 3) [m] somewhere, at rest."""
        flat = np.column_stack([rest_grid(self.cloth.grid), np.zeros(len(points))])
        offset = points - flat
        offset[:, 2] -= self.model.body("towel_0").pos[2]
        self.data.qpos[self._qpos] = offset.ravel()
        self.data.qvel[self._dofs.ravel()] = 0.0

    # ---------------------------------------------------------------- for events and experts
    @property
    def points(self) -> NDArray[np.float64]:
        """Mass points, world, (grid², 3) [m]."""
        return self.data.xpos[self._props.towel]

    def privileged(self) -> TowelState:
        """Ground truth of the present tick."""
        return TowelState(
            points=self.points.copy(),
            held=np.array(self._touch.held),
            touched=np.array(self._touch.touched),
            folds=self.folds,
            done=self._made,
            failures=np.array(self._failures),
            obstructed=self._props.obstructed(self.data),
            peak=np.array(self._peak),
        )

    def privileged_vector(self) -> NDArray[np.float32]:
        """`TowelState.to_vector` of the present tick."""
        return self.privileged().to_vector()

    def _privileged_dim(self) -> int:
        return TowelState.vector_dim(self.cloth.grid)

    def displace(self, shift: NDArray[np.float64], yaw: float) -> None:
        """Moves the towel in one instant, (2,) [m] and [rad] about its middle, and stops it."""
        self._place(plane_motion(self.points, shift, yaw))
        mujoco.mj_kinematics(self.model, self.data)

    def blow(self, force: NDArray[np.float64], duration_s: float) -> None:
        """Presses on the whole towel with `force` (3,) [N] for a while."""
        self._props.blow(self.data, force, self.tick + self._ticks(duration_s))

    def put_obstacle(self, pos: NDArray[np.float64], duration_s: float) -> None:
        """Stands a block on the table at `pos` (2,) [m] for a while."""
        self._props.put_obstacle(self.data, pos, self.tick + self._ticks(duration_s))

    def lose_grip(self, arm: int, duration_s: float) -> None:
        """Makes the pads of one hand slippery for a while."""
        self._props.oil(self.model, arm, self.tick + self._ticks(duration_s))

    def _ticks(self, duration_s: float) -> int:
        return max(1, round(duration_s * self.control_hz))

    @property
    def held_arms(self) -> list[int]:
        """Arms that hold the towel."""
        return [a for a in range(len(ARMS)) if self._touch.held[a] != NOTHING]

    @property
    def landing(self) -> NDArray[np.float64]:
        """Middle of the edge the present fold lands on, or of the towel, (2,) [m]."""
        if not self.folds:
            return self.points[:, :2].mean(axis=0)
        pairs = corners(self.cloth.grid, self._present_fold)
        return self.points[pairs[:, 1], :2].mean(axis=0)

    @property
    def _present_fold(self) -> Fold:
        return self.folds[min(self._made, len(self.folds) - 1)]

    def redraw_instruction(self, rng: np.random.Generator) -> None:
        """Draws other folds of the same level, and states them."""
        old = self.folds
        while self.folds == old and old:
            self.folds = sample_folds(rng, self.level)
        self.set_instruction(write_instruction(rng, self.level, self.folds))
        self._stage = 0

    # ---------------------------------------------------------------- step
    def _after_segment(self) -> None:
        self._props.tidy(self.model, self.data, self.tick + 1, PAD_FRICTION)

    def _assess(self) -> Assessment:
        data, folds = self.data, self.folds
        points = self.points
        jaws = data.qpos[self._ports.jaw_qpos] / JAW_STROKE
        touch = self._steady(self._contacts.read(data, points, jaws), jaws)
        if self._assist is not None:
            oiled = (self._props.oiled(0), self._props.oiled(1))
            touch = self._assist.update(data, touch, self._command[6::7], oiled)
        self._touch = touch
        self._count_failures(jaws)
        for arm, point in enumerate(touch.held):
            height = float(points[point, 2])
            self._peak[arm] = max(self._peak[arm], height) if point != NOTHING else 0.0
        fits = [measure(points, folds[: k + 1]) for k in range(len(folds))]
        fit = fits[-1] if fits else measure(points, ())
        carried = bool(self.held_arms)
        made = self._made = count_made(points, folds, fits, self._made, carried)
        still = float(np.abs(data.qvel[self._dofs]).max()) < REST_SPEED
        free = not any(touch.touched) and bool((jaws > OPEN_JAW).all())
        self._rest = self._rest + 1 if still and free else 0
        good = fit.good(len(folds)) and self._on_spot(points)
        success = good and self._rest >= REST_TICKS
        tools = data.site_xpos[self._ports.tool_sites]
        standing = judge(points, tools, touch.held, folds, made, good and free)
        if made > self._previous_made:
            self._stage = 0
        self._previous_made = made
        self._stage = max(self._stage, standing.stage)
        progress = 1.0 if success else self._progress(made, fit)
        terms = {
            "made": made / len(folds) if folds else float(good),
            "folded": near(fit.mirror, MIRROR_LIMIT, margin=0.15),
            "corners": near(fit.corner, CORNER_LIMIT, margin=0.30),
            "held": standing.held,
            "reach": standing.reach,
        }
        details = {
            "folds": tuple(fold.direction for fold in folds),
            "fit": asdict(fit),
            "made": made,
            "stage": STAGES[self._stage],
            "failed_grasps": tuple(self._failures),
            "squeeze_n": touch.squeeze,
            "grasp": self.grasp,
        }
        return Assessment(terms, success, progress, standing.phase, details)

    def _on_spot(self, points: NDArray[np.float64]) -> bool:
        if self.level.name != "full":
            return True
        gap = points[:, :2].mean(axis=0) - self._props.spot
        return float(np.linalg.norm(gap)) < SPOT_RADIUS

    def _progress(self, made: int, fit: FoldFit) -> float:
        if not self.folds:
            return 0.9 * near(fit.mirror, MIRROR_LIMIT, margin=0.15)
        share = self._stage / (len(STAGES) - 1) if made < len(self.folds) else 0.0
        return min((made + share) / len(self.folds), 0.95)

    def _steady(self, touch: Touch, jaws: NDArray[np.float64]) -> Touch:
        """Bridges ticks in which a closed pinch reads no force; contacts of cloth flicker."""
        held = list(touch.held)
        for arm, before in enumerate(self._touch.held):
            told = self._command[7 * arm + 6] < CLOSED_COMMAND
            pinched = MISSED_JAW < jaws[arm] < GRIP_JAW and touch.touched[arm]
            if held[arm] == NOTHING and before != NOTHING and told and pinched:
                held[arm] = before
        return replace(touch, held=tuple(held))

    def _count_failures(self, jaws: NDArray[np.float64]) -> None:
        """Counts closed hands that hold nothing, once each."""
        for arm in range(len(ARMS)):
            told = self._command[7 * arm + 6] < CLOSED_COMMAND
            empty = told and self._touch.held[arm] == NOTHING and jaws[arm] < MISSED_JAW
            self._failures[arm] += bool(empty and not self._closed_on_nothing[arm])
            self._closed_on_nothing[arm] = bool(empty)

    # ---------------------------------------------------------------- snapshots
    def _task_snapshot(self) -> Any:
        return (
            self.folds,
            self._touch,
            self._rest,
            self._stage,
            (*self._failures, *self._peak),
            tuple(self._closed_on_nothing),
            self._made,
            self._previous_made,
            self._props.snapshot(),
            self._assist.torn if self._assist else None,
        )

    def _task_restore(self, state: Any) -> None:
        self.folds, self._touch, self._rest, self._stage = state[:4]
        self._failures, self._peak = list(state[4][:2]), list(state[4][2:])
        self._closed_on_nothing = list(state[5])
        self._made, self._previous_made = state[6:8]
        self._props.restore(state[8])
        if self._assist:
            self._assist.torn = state[9]
