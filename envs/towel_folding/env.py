"""The towel-folding task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

import envs.towel_folding.events  # noqa: F401  (registers what may happen here)
from envs.assessment import Assessment
from envs.control_rate import ticks_of
from envs.dual_arm import DualArmEnv
from envs.reward import near
from envs.robot.facts import JAW_STROKE
from envs.scene.looks import Dye
from envs.scene.placement import CLOTH as ON_CLOTH
from envs.scene.placement import OVERLAP_LIMIT, TABLE, Trial
from envs.scene.pusher import add_paddle
from envs.scene.stage import CLOTH, base_scene
from envs.towel_folding.assessment import PHASES, STAGES, count_made, judge
from envs.towel_folding.bend_friction import memory_size
from envs.towel_folding.cloth import (
    LAYER_DISTANCE,
    REST_ITERATIONS,
    ClothConfig,
    add_towel,
    pad_friction,
    soften_hands,
)
from envs.towel_folding.condition import edge_strain, lies_on_table
from envs.towel_folding.contacts import ContactReader
from envs.towel_folding.continuous import Supply
from envs.towel_folding.disturbances import LIFT, OBSTACLE_LIFTS, Props, add_props
from envs.towel_folding.folds import (
    CORNER_LIMIT,
    MIRROR_LIMIT,
    Fold,
    FoldFit,
    corners,
    measure,
)
from envs.towel_folding.grasp_assist import GRASPS, GraspAssist, add_ties
from envs.towel_folding.grasp_record import Hands
from envs.towel_folding.initial_state import plane_motion
from envs.towel_folding.instructions import Level, check_folds, sample_folds, write_instruction
from envs.towel_folding.material import cloth_of, find_material, material_of
from envs.towel_folding.pushes import HAND
from envs.towel_folding.self_intersection import crossing_depth, crossings
from envs.towel_folding.skins import add_skins
from envs.towel_folding.state import LONG_S, TowelState
from envs.towel_folding.towel import REST_SPEED, Towel
from envs.towel_folding.vertex_order import Naming
from envs.world import STAGE_ARGUMENTS, find_world
from xr0_sim.errors import ConfigError, unknown_name

REST_S = 0.5
"""Time a towel lies at rest before it counts as folded [s]."""
CROSSING_S = 1 / 3
"""From one count of the towel's crossings to the next [s]; one is due whenever success is."""
PICTURE_FACETS = {"0.1": (12, 8), "thick": (8, 6)}
"""Slices and stacks of round shapes in observations, by how the towel is drawn: (12, 8) halves the
cost of a picture of 128 px, (8, 6) makes up for the thick towel's; hardly a pixel differs."""
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
    | ``tick`` | (1,) int32 | control tick; 0 in the first observation of an episode | tick |
    | ``privileged`` | (3 grid² + 19,) float32 | `TowelState.to_vector` | m, 1 |

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
    Terminates when the towel is folded as asked, at rest for 0.5 s, with open hands off it;
    truncation is the wrapper's. Physics that breaks raises `SimulationError`. Folded means, in the
    towel's own frame: mean distance of mirror partners <= 0.10 L, corners <= 0.12 L, footprint
    IoU >= 0.80, the moved half on top, flat; its middle within 5 cm of the marked spot for
    ``full``. Worlds with strict judges ask for every mass point over the table top; materials whose
    layers stay apart, for a towel that nowhere reaches through itself by more than the distance
    layers are kept at, 5 mm: tips of corners hook into each other. ``info`` tells ``crossings`` (counted three times a second, and whenever success is due) and
    ``strain_max``. Progress counts the spreading, the stages of every fold, and the placing.
    Directions are the table's; out of a heap they are bound to the towel's edges once it has been
    spread.

    ## Arguments
    ``level`` half | quarter | flatten | full, ``grid`` 9 | 13 | 17 mass points along a side,
    ``grasp`` friction | assist (see `envs.towel_folding.grasp_assist`; told by ``info["grasp"]``),
    ``material`` soft | layered | firm | creased (see `envs.towel_folding.material`), empty for the one of the
    world and level (0.2: layered for ``half``, else soft),
    ``continuous`` another towel follows each one and episodes do not end by themselves (see
    `envs.towel_folding.continuous`; ``info["towels"]`` counts folded and missed ones), and those of
    `envs.dual_arm.DualArmEnv`.
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
    phases = PHASES
    paddle = HAND
    usual_timestep_s = 1 / 180

    def __init__(
        self,
        *,
        level: str = "half",
        grid: int = 13,
        grasp: str = "friction",
        material: str = "",
        continuous: bool = False,
        **kwargs: Any,
    ):
        self.level = Level(level)
        self.cloth = ClothConfig(grid)
        if grasp not in GRASPS:
            raise unknown_name("grasp", str(grasp), GRASPS)
        if not isinstance(continuous, bool):
            raise ConfigError(f"continuous: expected true or false, got {continuous!r}")
        self.grasp, self.continuous = grasp, continuous
        if material:
            find_material(material)
        world = find_world(kwargs.get("world", STAGE_ARGUMENTS["world"]))
        cloth = material or cloth_of(world, self.level.name)
        if cloth != world.cloth:
            kwargs["world"] = replace(world, cloth=cloth)
        super().__init__(**kwargs)
        self._rest_ticks = ticks_of(REST_S, self.control_hz)
        self._crossing_ticks = ticks_of(CROSSING_S, self.control_hz)

    # ---------------------------------------------------------------- scene
    def _build(self, options: Mapping[str, Any]) -> mujoco.MjSpec:
        self.folds = sample_folds(self.np_random, self.level)
        if "folds" in options:
            self.folds = check_folds(options["folds"], self.level)
        material = material_of(self.world)
        least = REST_ITERATIONS if self.world.towel_contact == "points" else 0
        iterations = max(material.iterations, least)
        physics = replace(CLOTH, iterations=iterations, tolerance=material.tolerance)
        spec = base_scene("towel_folding", self.timestep_s, physics, self.world, self.servo)
        quality = spec.visual.quality
        quality.numslices, quality.numstacks = PICTURE_FACETS[self.world.towel]
        soften_hands(spec, material)
        if self.world.pushes:
            add_paddle(spec, HAND)
        add_props(spec, spot=self.level.placed)
        add_towel(spec, self.cloth, self.level.crumpled, material, self.world.towel_contact)
        if material.bend_friction:
            spec.nuserdata = memory_size(self.cloth.grid)
        add_skins(spec, self.cloth.grid, self.world.towel)
        if self.grasp == "assist":
            add_ties(spec, self.cloth.grid**2)
        return spec

    def _start(self, options: Mapping[str, Any]) -> str:
        model = self.model
        self._towel = Towel(model, self.cloth.grid, material_of(self.world))
        self._contacts = ContactReader(model)
        self._props = Props(model)
        assisted = self.grasp == "assist"
        self._assist = GraspAssist(model, self.cloth.grid**2) if assisted else None
        self._supply = Supply() if self.continuous else None
        self._hands = Hands()
        self._forget()
        self._towel.lay_down(self.data, self.np_random, self.level.crumpled)
        self.data.time = 0.0
        return write_instruction(self.np_random, self.level, self.folds)

    def _forget(self) -> None:
        """What is known of a towel that has just been laid down."""
        self._hands = self._hands.at_a_new_towel()
        self._spread = not self.level.crumpled
        self._rest = self._stage = 0
        self._made = self._previous_made = self._crossings = 0

    def _next_towel(self, home: bool) -> None:
        """Exchanges the towel for a new one that fell while no hand was in the way.

        Args:
            home: Whether the arms are put back, too.
        """
        apart = mujoco.MjData(self.model)
        self._ports.place(apart, self._home, self._home)
        self._towel.lay_down(apart, self.np_random, self.level.crumpled)
        self._towel.copy(apart, self.data)
        if self._assist is not None:
            self._assist.untie(self.data)
        if home:
            self._command = self._resting_command()
            self._ports.place(self.data, self._home, self._command)
        mujoco.mj_kinematics(self.model, self.data)
        self._forget()
        self.folds = sample_folds(self.np_random, self.level)
        self.set_instruction(write_instruction(self.np_random, self.level, self.folds))

    # ---------------------------------------------------------------- for events and experts
    @property
    def points(self) -> NDArray[np.float64]:
        """Mass points by name, world, (grid², 3) [m]."""
        return self._towel.points(self.data)

    @property
    def _held(self) -> tuple[int, int]:
        """Mass point each arm pinches, by name, or -1."""
        left, right = self._hands.touch.held
        return self._towel.naming.name(left), self._towel.naming.name(right)

    def dyes(self) -> list[Dye]:
        """Both sides of the towel, together."""
        model = self.model
        sides = [model.material(name).id for name in ("towel_print", "towel_plain")]
        return [Dye(materials=sides, textures=[model.texture("towel_print").id])]

    def privileged(self) -> TowelState:
        """Ground truth of the present tick."""
        hands = self._hands
        return TowelState(
            points=self.points,
            held=np.array(self._held),
            touched=np.array(hands.touch.touched),
            folds=self.folds,
            done=self._made,
            failures=np.array(hands.failures),
            obstructed=self._props.obstructed(self.data),
            peak=np.array(hands.peak),
            spread=self._spread,
            lifts=np.array(hands.lifts),
            untouched=hands.untouched,
            to_place=self.level.placed,
        )

    def privileged_vector(self) -> NDArray[np.float32]:
        """`TowelState.to_vector` of the present tick."""
        return self.privileged().to_vector()

    def _privileged_dim(self) -> int:
        return TowelState.vector_dim(self.cloth.grid)

    def fits(self, shift: NDArray[np.float64], yaw: float) -> bool:
        """Whether `displace` would put the towel into nothing else."""
        if not self.world.pushes:
            return True
        trial = Trial(self.model, self.data)
        self._towel.place(trial.data, plane_motion(self.points, shift, yaw))
        cloth = {ON_CLOTH, *self._towel.body_ids}
        return trial.overlap(cloth, but={TABLE}) <= OVERLAP_LIMIT

    def displace(self, shift: NDArray[np.float64], yaw: float) -> None:
        """Moves the towel in one instant, (2,) [m] and [rad] about its middle, and stops it."""
        self._towel.place(self.data, plane_motion(self.points, shift, yaw))
        mujoco.mj_kinematics(self.model, self.data)

    def blow(self, force: NDArray[np.float64], duration_s: float) -> None:
        """Presses on the whole towel with `force` (3,) [N] for a while."""
        self._props.blow(self.data, force, self.tick + self._ticks(duration_s))

    def obstacle_height(self, pos: NDArray[np.float64]) -> float | None:
        """Least height of the foot of a block at `pos` (2,) that touches nothing [m], or None."""
        if not self.world.pushes:
            return LIFT
        trial = Trial(self.model, self.data)
        for lift in OBSTACLE_LIFTS:
            self._props.stand(trial.data, pos, lift)
            if trial.overlap({self._props.obstacle}) == 0.0:
                return lift
        return None

    def put_obstacle(self, pos: NDArray[np.float64], duration_s: float, lift: float = LIFT) -> None:
        """Stands a block at `pos` (2,), `lift` above the table [m], for a while."""
        self._props.put_obstacle(self.data, pos, self.tick + self._ticks(duration_s), lift)

    def lose_grip(self, arm: int, duration_s: float) -> None:
        """Makes the pads of one hand slippery for a while."""
        self._props.oil(self.model, arm, self.tick + self._ticks(duration_s))

    def _ticks(self, duration_s: float) -> int:
        return ticks_of(duration_s, self.control_hz)

    @property
    def held_arms(self) -> list[int]:
        """Arms that hold the towel."""
        return self._hands.holding

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
    def _own_forces(self) -> Callable[[mujoco.MjData], None] | None:
        friction = self._towel.friction
        return None if friction is None else friction.apply

    def _segment_end(self) -> Callable[[mujoco.MjData], object]:
        friction, tick = pad_friction(material_of(self.world)), self.tick + 1
        return lambda data: self._props.tidy(self.model, data, tick, friction)

    def _middle_of_pushed(self, which: Sequence[int]) -> NDArray[np.float64]:
        return self.points.mean(axis=0)

    def _assess(self) -> Assessment:
        data, folds = self.data, self.folds
        jaws = data.qpos[self._ports.jaw_qpos] / JAW_STROKE
        hands = self._hands = self._feel(jaws)
        points = self.points
        flat = None if self._spread else measure(points, ())
        if folds and flat is not None and flat.good(0) and not hands.handled:
            self._bind()
            points = self.points
        asked = [folds[: k + 1] for k in range(len(folds))] if self._spread else []
        fits = [measure(points, part) for part in asked]
        fit = fits[-1] if fits else flat
        assert fit is not None  # a towel counts as spread only if folds are asked for
        made = self._made = count_made(
            points, folds[: len(fits)], fits, self._made, bool(hands.holding), hands.handled
        )
        still, free = self._towel.fastest(data) < REST_SPEED, hands.off(jaws)
        self._rest = self._rest + 1 if still and free else 0
        good = fit.good(len(fits)) and len(fits) == len(folds) and self._on_spot(points)
        if self.world.strict_judges:
            good = good and lies_on_table(points)
        rested = good and self._rest >= self._rest_ticks
        if rested or self.tick % self._crossing_ticks == 0:
            self._crossings = crossings(points, self.cloth.grid)
        whole = (
            self._crossings == 0
            or not material_of(self.world).keeps_apart
            or crossing_depth(points, self.cloth.grid) <= LAYER_DISTANCE
        )
        success = rested and whole
        tools = data.site_xpos[self._ports.tool_sites]
        standing = judge(points, tools, self._held, folds[: len(fits)], made, good and free)
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
            "failed_grasps": hands.failures,
            "squeeze_n": hands.touch.squeeze,
            "grasp": self.grasp,
            "crossings": self._crossings,
            "strain_max": float(np.abs(edge_strain(points, self.cloth.grid)).max()),
        }
        if self._supply is not None:
            before, tick = self._supply, self.tick
            self._supply = before.at(tick, success, self.control_hz)
            if self._supply.exchanges(before, tools):
                self._next_towel(home=self._supply.missed > before.missed)
                self._supply = self._supply.renewed(tick)
            success, details["towels"] = self._supply.success, self._supply.counts
        goes_on = self.continuous
        return Assessment(terms, success, progress, standing.phase, details, goes_on=goes_on)

    def _feel(self, jaws: NDArray[np.float64]) -> Hands:
        """The hands after the contacts of this tick; `jaws` are openings (2,)."""
        bodies, commands = self._towel.bodies(self.data), self._command[6::7]
        touch = self._contacts.read(self.data, bodies, jaws)
        touch = self._hands.steadied(touch, jaws, commands)
        if self._assist is not None:
            oiled = (self._props.oiled(0), self._props.oiled(1))
            touch = self._assist.update(self.data, touch, commands, oiled)
        longest = ticks_of(LONG_S, self.control_hz)
        return self._hands.after(touch, bodies[:, 2], jaws, commands, longest)

    def _bind(self) -> None:
        """Names the points of a towel that has come to lie flat as the table sees them."""
        self._towel.naming = Naming.seen_from_above(self._towel.bodies(self.data))
        self._spread = True

    def _on_spot(self, points: NDArray[np.float64]) -> bool:
        if not self.level.placed:
            return True
        gap = points[:, :2].mean(axis=0) - self._props.spot
        return float(np.linalg.norm(gap)) < SPOT_RADIUS

    def _progress(self, made: int, fit: FoldFit) -> float:
        """Share of what is asked for: spreading, each fold with its stages, placing."""
        parts = self.level.crumpled + self.level.folds + self.level.placed
        if not self._spread:
            return 0.9 * near(fit.mirror, MIRROR_LIMIT, margin=0.15) / parts
        share = self._stage / (len(STAGES) - 1) if made < len(self.folds) else 0.0
        return min((self.level.crumpled + made + share) / parts, 0.95)

    # ---------------------------------------------------------------- snapshots
    def _task_snapshot(self) -> Any:
        return (
            (self.folds, self._hands, self._supply),
            (
                (self._rest, self._stage, self._made, self._previous_made, self._spread),
                self._crossings,
            ),
            (self._props.snapshot(), self._towel.naming),
            self._assist.torn if self._assist else None,
        )

    def _task_restore(self, state: Any) -> None:
        (self.folds, self._hands, self._supply), counts, (props, naming), torn = state
        (self._rest, self._stage, self._made, self._previous_made, self._spread), crossed = counts
        self._crossings = crossed
        self._props.restore(props)
        self._towel.naming = naming
        if self._assist:
            self._assist.torn = torn
