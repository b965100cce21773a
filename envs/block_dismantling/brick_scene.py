"""The bricks, trays and clutches of an episode, and what events and experts do with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

import envs.block_dismantling.events  # noqa: F401  (registers what may happen here)
from envs.block_dismantling.assembly import Level, sample_assembly
from envs.block_dismantling.assessment import BrickJudge
from envs.block_dismantling.bins import (
    BIN_HALF_SIZE,
    BINS,
    WALL,
    add_bins,
    paint_bin,
    sample_bin_centres,
)
from envs.block_dismantling.bricks import CLEARANCE, COLOURS, add_brick
from envs.block_dismantling.clutch import Clutches, add_clutches, find_interfaces
from envs.block_dismantling.contacts import ContactReader, Touch
from envs.block_dismantling.grasp_clearance import footprint_centre
from envs.block_dismantling.instructions import Style, check_rule, sample_rule, write_instruction
from envs.block_dismantling.lying import LyingBricks
from envs.block_dismantling.pushes import BLADE, SIGNS
from envs.block_dismantling.rules import BlockRules
from envs.block_dismantling.state import NO_BRICK, BlockState
from envs.control_rate import ticks_of
from envs.dual_arm import DualArmEnv
from envs.scene.belt import Rectangle
from envs.scene.looks import Dye
from envs.scene.placement import OVERLAP_LIMIT, Trial
from envs.scene.pusher import add_paddle
from envs.scene.stage import base_scene
from envs.scene.views import View, Views
from xr0_sim.rotations import quat_conjugate, quat_from_rotvec, quat_multiply, quat_rotate

ASSEMBLY_AREA = ((-0.07, 0.03), (-0.05, 0.05))
"""Where the assembly's middle may stand: x and y range [m]."""
ASSEMBLY_YAW = np.radians(25.0)
BIN_JITTER = 0.015
CLOSE_VIEWS = Views(
    View((-0.24, 0.0, 0.20), (0.10, 0.0, 0.0), 53.5),
    View((-0.58, 0.0, 0.46), (0.03, 0.0, 0.02), 34.0),
    224,
)
"""Chosen: the base camera stands low before the stack, and sees it under the holding arm. A 2x2
brick is 25 px wide and more (7 at 128 px from the head), the middles of both trays are in view, and
the arms pass at 9 cm and more. In films a brick of four studs takes 8 % of the width."""


class BrickScene(DualArmEnv):
    """A brick assembly between two trays; `envs.block_dismantling.env` makes it a task.

    Attributes:
        bricks: As drawn.
        bins: Centres of the trays (2, 2) [m].
        rule: Colour -> tray, as the instruction says.
        rules: What the world asks of bricks and judges.
    """

    paddle = BLADE
    close_views = CLOSE_VIEWS
    level: Level
    style: Style
    rules: BlockRules
    rule: dict[str, int]
    _touch: Touch

    def _build(self, options: Mapping[str, Any]) -> mujoco.MjSpec:
        rng = self.np_random
        self.bricks = sample_assembly(rng, self.level)
        self.rule = sample_rule(rng)
        if "rule" in options:
            self.rule = check_rule(options["rule"])
        self.bins = sample_bin_centres(rng, BIN_JITTER)
        self.bin_colours = ("light", "dark") if rng.random() < 0.5 else ("dark", "light")
        self.interfaces = find_interfaces(self.bricks)
        spec = base_scene(
            "block_dismantling",
            self.timestep_s,
            world=self.world,
            servo=self.servo,
            views=self.views,
        )
        if self.world.pushes:
            add_paddle(spec, BLADE)
        add_bins(spec, self.bins, self.bin_colours, self.rules.rim_m)
        self._origin = np.array([*-footprint_centre(self.bricks), 0.0])
        for i, brick in enumerate(self.bricks):
            add_brick(spec, i, brick, self._origin, self.rules.contact_s, self.rules.contact_weight)
        add_clutches(spec, self.bricks, self.interfaces)
        return spec

    def _start(self, options: Mapping[str, Any]) -> str:
        rng, model = self.np_random, self.model
        n = len(self.bricks)
        self._clutches = Clutches(model, self.interfaces, self.rules.look_every)
        self._contacts = ContactReader(model, n)
        first = model.body("brick0").id
        if [model.body(f"brick{i}").id for i in range(n)] != list(range(first, first + n)):
            raise AssertionError("bricks are not next to each other")
        self._bodies = slice(first, first + n)
        joints = [model.joint(f"brick{i}") for i in range(n)]
        self._brick_qpos = np.array([np.arange(j.qposadr[0], j.qposadr[0] + 7) for j in joints])
        self._brick_dof = np.array([np.arange(j.dofadr[0], j.dofadr[0] + 6) for j in joints])
        if self._brick_dof.ravel().tolist() != list(range(model.nv - 6 * n, model.nv)):
            raise AssertionError("bricks do not have the last degrees of freedom")
        self._tool_sites = self._ports.tool_sites.tolist()
        self._colours = tuple(b.colour for b in self.bricks)
        self._half_size = np.array([b.half_size for b in self.bricks])
        self._lower = np.array([f.lower for f in self.interfaces], dtype=int)
        self._upper = np.array([f.upper for f in self.interfaces], dtype=int)
        self._joints = [n * f.lower + f.upper for f in self.interfaces]
        self._constants = (self._half_size.tolist(), self.bins.ravel().tolist())
        rest_ticks = ticks_of(self.rules.rest_s, self.control_hz)
        self._judge = BrickJudge(self._colours, self.bins.tolist(), rest_ticks, self._lying())
        yaw = rng.uniform(-ASSEMBLY_YAW, ASSEMBLY_YAW)
        middle = np.array([rng.uniform(*ASSEMBLY_AREA[0]), rng.uniform(*ASSEMBLY_AREA[1]), 0.0])
        middle[2] = -CLEARANCE[2]
        self.move_bricks(range(n), middle, yaw, np.zeros(3))
        return write_instruction(rng, self.rule, self.bin_names)

    def _lying(self) -> LyingBricks | None:
        if not self.rules.lies_inside:
            return None
        return LyingBricks(
            self.data,
            range(self._bodies.start, self._bodies.stop),
            self._half_size.tolist(),
            self.bins.tolist(),
            self.rules.rim_m,
            self._tool_sites,
        )

    @property
    def bin_names(self) -> tuple[str, str]:
        """What the instruction calls the left and the right bin."""
        words = ("left", "right") if self.style.name == "side" else self.bin_colours
        return f"{words[0]} bin", f"{words[1]} bin"

    @property
    def targets(self) -> NDArray[np.int64]:
        """Bin index of every brick under the rule in force, (n,)."""
        return np.array([self.rule[colour] for colour in self._colours])

    # ---------------------------------------------------------------- for events and experts
    def move_bricks(
        self,
        which: Any,
        shift: NDArray[np.float64],
        yaw: float,
        pivot: NDArray[np.float64],
        data: mujoco.MjData | None = None,
    ) -> None:
        """Turns bricks by `yaw` [rad] about the vertical through `pivot`, then shifts them [m].

        In the scene, or in another state of it.
        """
        data = self.data if data is None else data
        turn = np.array([np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)])
        cos, sin = np.cos(yaw), np.sin(yaw)
        rotation = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        for i in which:
            q = self._brick_qpos[i]
            data.qpos[q[:3]] = rotation @ (data.qpos[q[:3]] - pivot) + pivot + shift
            quat = np.empty(4)
            mujoco.mju_mulQuat(quat, turn, data.qpos[q[3:]])
            data.qpos[q[3:]] = quat

    def cluster(self, brick: int) -> list[int]:
        """Bricks clutched to `brick`, itself included."""
        active = self._clutches.active(self.data).tolist()
        joints = [
            (f.lower, f.upper) for f, holds in zip(self.interfaces, active, strict=True) if holds
        ]
        found, todo = {brick}, [brick]
        while todo:
            i = todo.pop()
            for lower, upper in joints:
                j = upper if lower == i else lower if upper == i else i
                if j not in found:
                    found.add(j)
                    todo.append(j)
        return sorted(found)

    def dyes(self) -> list[Dye]:
        """The bricks of every colour."""
        owner = self.model.geom_bodyid
        bodies = [self.model.body(f"brick{i}").id for i in range(len(self.bricks))]
        return [
            Dye(
                geoms=[
                    int(geom)
                    for brick, body in zip(self.bricks, bodies, strict=True)
                    if brick.colour == colour
                    for geom in np.flatnonzero(owner == body)
                ]
            )
            for colour in COLOURS
        ]

    def privileged(self) -> BlockState:
        """Ground truth of the present tick."""
        n = len(self.bricks)
        active = self._clutches.active(self.data)
        joined = np.zeros((n, n), dtype=bool)
        joined[self._lower[active], self._upper[active]] = True
        pos = self.data.xpos[self._bodies].copy()
        return BlockState(
            pos=pos,
            quat=self.data.xquat[self._bodies].copy(),
            half_size=self._half_size,
            target=self.targets,
            sorted=np.array(self._judge.sorted),
            in_bin=np.array([self._judge.place(i, p) for i, p in enumerate(pos.tolist())]),
            joined=joined,
            gripped=np.array(self._touch.gripped),
            bins=self.bins.copy(),
        )

    def privileged_vector(self) -> NDArray[np.float32]:
        """`BlockState.to_vector` of the present tick, written straight into place."""
        data, judge = self.data, self._judge
        left, right = self._touch.gripped
        sizes, bins = self._constants
        values: list[float] = []
        quats = data.xquat[self._bodies].tolist()
        for i, pos in enumerate(data.xpos[self._bodies].tolist()):
            values += pos
            values += quats[i]
            values += sizes[i]
            values += (self.rule[self._colours[i]], judge.sorted[i], judge.place(i, pos))
            values += (left == i, right == i, 0.0)
        joined = [0.0] * len(self.bricks) ** 2
        for place, holds in zip(self._joints, self._clutches.active(data).tolist(), strict=True):
            joined[place] = holds
        return np.array(values + joined + bins, dtype=np.float32)

    def _privileged_dim(self) -> int:
        return BlockState.vector_dim(self.level.n_bricks)

    def fits(
        self, which: list[int], shift: NDArray[np.float64], yaw: float, *, touching: bool = True
    ) -> bool:
        """Whether `displace` would put no brick inside something else.

        Args:
            which: Numbers of the bricks.
            shift: (3,) [m].
            yaw: Turn about their middle [rad].
            touching: Whether they may rest against something.
        """
        if not self.world.pushes:
            return True
        trial = Trial(self.model, self.data)
        self.move_bricks(which, shift, yaw, self.middle_of(which), trial.data)
        limit = OVERLAP_LIMIT if touching else 0.0
        if trial.overlap({self._bodies.start + i for i in which}) > limit:
            return False
        # Nothing is met far below the surface of a table top either.
        return float(self.corners_of(which, trial.data)[..., 2].min()) >= -OVERLAP_LIMIT

    def corners_of(
        self, which: list[int], data: mujoco.MjData | None = None
    ) -> NDArray[np.float64]:
        """Corners of some bricks, world, (n, 8, 3) [m], in the scene or in another state of it."""
        data = self.data if data is None else data
        boxes = SIGNS * self._half_size[which][:, None]
        turns = data.xmat[self._bodies][which].reshape(-1, 3, 3)
        return boxes @ turns.transpose(0, 2, 1) + data.xpos[self._bodies][which][:, None]

    def displace(self, which: list[int], shift: NDArray[np.float64], yaw: float) -> None:
        """Moves bricks in one instant, turning about their common middle, and stops them."""
        self.move_bricks(which, shift, yaw, self.middle_of(which))
        self.data.qvel[self._brick_dof[which]] = 0.0
        mujoco.mj_kinematics(self.model, self.data)

    def set_down(
        self, which: list[int], xy: NDArray[np.float64], yaw: float, roll: float = 0.0
    ) -> None:
        """Lays clutched bricks on the table at `xy` (2,) [m] in one instant, and stops them.

        The first brick is turned upright, by `yaw` [rad] about the vertical and before that by
        `roll` about its own x axis; the others keep their place on it.
        """
        data, first = self.data, self._brick_qpos[which[0]]
        wanted = quat_multiply(
            quat_from_rotvec(np.array([0.0, 0.0, yaw])), quat_from_rotvec(np.array([roll, 0, 0]))
        )
        turn = quat_multiply(wanted, quat_conjugate(data.qpos[first[3:]]))
        pivot = data.qpos[first[:3]].copy()
        lowest = np.inf
        for i in which:
            q = self._brick_qpos[i]
            data.qpos[q[:3]] = quat_rotate(turn, data.qpos[q[:3]] - pivot)
            data.qpos[q[3:]] = quat_multiply(turn, data.qpos[q[3:]])
            corner = np.abs(quat_rotate(data.qpos[q[3:]], np.diag(self._half_size[i]))[:, 2]).sum()
            lowest = min(lowest, data.qpos[q[2]] - corner)
        for i in which:
            data.qpos[self._brick_qpos[i][:3]] += [*xy, -lowest]
        data.qvel[self._brick_dof[which]] = 0.0
        mujoco.mj_kinematics(self.model, data)

    def middle_of(self, which: list[int]) -> NDArray[np.float64]:
        """Mean centre of some bricks, (3,) [m]."""
        return self.data.xpos[self._bodies][which].mean(axis=0)

    def largest_cluster(self) -> list[int]:
        """The biggest group of clutched bricks outside the trays; ties go to the lowest brick."""
        groups = [self.cluster(i) for i in self._outside()] or [self.cluster(0)]
        return max(groups, key=lambda g: (len(g), -g[0]))

    def loose_bricks(self) -> list[int]:
        """Single bricks that lie on the table outside the trays, not held."""
        free = [i for i in self._outside() if self.cluster(i) == [i]]
        return [i for i in free if not self._touch.touched[i]]

    def carried_bricks(self) -> list[int]:
        """Single bricks between the pads of a hand."""
        held = {g for g in self._touch.gripped if g != NO_BRICK}
        return [i for i in sorted(held) if self.cluster(i) == [i]]

    def reattach(self, within_m: float) -> list[int]:
        """Closes open clutches whose bricks nearly fit together; returns their numbers."""
        closed = []
        for k in np.flatnonzero(~self._clutches.active(self.data)).tolist():
            if self._clutches.misfit(self.model, self.data, k) < within_m:
                self._clutches.attach(self.model, self.data, k)
                closed.append(k)
        return closed

    def deepest_arm_contact(self, which: list[int]) -> float:
        """How far an arm reaches into one of the bricks [m]; contacts must be current."""
        return self._contacts.deepest(self.data, which)

    def open_clutches(self) -> None:
        """Opens all clutches."""
        self._clutches.open_all(self.data)

    def swap_bin_colours(self) -> None:
        """Swaps the trays' colours; with ``instruction_style="colour"`` the goal swaps too."""
        self.bin_colours = self.bin_colours[::-1]
        for name, colour in zip(BINS, self.bin_colours, strict=True):
            paint_bin(self.model, name, colour)
        if self.style.name == "colour":
            self.rule = {colour: 1 - target for colour, target in self.rule.items()}

    def redraw_instruction(self, rng: np.random.Generator) -> None:
        """Draws a rule that sends at least one brick elsewhere, and states it."""
        present = {b.colour for b in self.bricks}
        old = self.rule
        while all(self.rule[c] == old[c] for c in present):
            self.rule = sample_rule(rng)
        self.set_instruction(write_instruction(rng, self.rule, self.bin_names))

    def _segment_end(self) -> Callable[[mujoco.MjData], object]:
        return self._clutches.watch

    def _middle_of_pushed(self, which: Sequence[int]) -> NDArray[np.float64]:
        return self.middle_of(list(which))

    def _tables_at_rest(self) -> list[Rectangle]:
        reach = BIN_HALF_SIZE + 2 * WALL
        return [(x, y, reach, reach) for x, y in self.bins.tolist()]

    def _outside(self) -> list[int]:
        """Bricks that are not over a bin."""
        pos = self.data.xpos[self._bodies].tolist()
        return [i for i, p in enumerate(pos) if self._judge.bin_of(p) == NO_BRICK]
