"""The block-dismantling task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.block_dismantling.access import footprint_centre
from envs.block_dismantling.assembly import Level, sample_assembly
from envs.block_dismantling.bricks import CLEARANCE, add_brick
from envs.block_dismantling.clutch import Clutches, add_clutches, find_interfaces
from envs.block_dismantling.contacts import ContactReader
from envs.block_dismantling.sorting import (
    BIN_HALF_SIZE,
    BINS,
    Style,
    add_bins,
    check_rule,
    paint_bin,
    sample_bin_centres,
    sample_rule,
    write_instruction,
)
from envs.block_dismantling.state import NO_BRICK, BlockState
from envs.dual_arm import Assessment, DualArmEnv
from envs.reward import near
from envs.scene import base_scene
from xr0_sim.conventions import ARMS

ASSEMBLY_AREA = ((-0.07, 0.03), (-0.05, 0.05))
"""Where the assembly's middle may stand: x and y range [m]."""
ASSEMBLY_YAW = np.radians(25.0)
BIN_JITTER = 0.015
REST_LIMITS = np.array([0.03] * 3 + [0.6] * 3)
"""A brick is at rest below these speeds: three times [m/s], three times [rad/s]."""
REST_TICKS = 5
REACH_DISTANCE = 0.12
"""A tool this near to an unsorted brick is reaching for it [m]."""
DROP_SPEED = 0.5
"""A brick that falls faster than this outside the bins was dropped [m/s]."""
BRICK_STATES = ("attached", "detached", "misplaced", "sorted")
PHASES = ("approach", "reach", "grasp", "pull", "carry", "done")


class BlockDismantlingEnv(DualArmEnv):
    """Two arms take a brick assembly apart and sort the bricks into two trays.

    ## Description
    A connected assembly of Duplo-like bricks stands loose on the table: one arm must hold while the
    other pulls, and every brick goes into the tray that the instruction names for its colour.
    Bricks are held together by breakable clutches (`envs.block_dismantling.clutch`).

    ## Action Space
    ``Box(-1, 1, (14,))`` float32, absolute targets for the end of the tick; -1 and 1 stand for the
    bounds of each entry (joint limits of `envs.robot`; see `envs.actions.from_unit`).

    | index | ``action_mode="joint"`` | unit | ``action_mode="tool"`` | unit |
    |---|---|---|---|---|
    | 0:6 / 7:13 | left / right joint targets | rad | 0:3 / 7:10 tool position, world | m |
    |  |  |  | 3:6 / 10:13 tool rotation vector, world | rad |
    | 6 / 13 | jaw opening, 0 closed .. 1 open | 1 | the same | 1 |

    Targets are clipped to the joint ranges and to the joint speeds of `envs.robot`.

    ## Observation Space
    ``Dict``; ``observation="state"`` has ``privileged`` instead of the pictures.

    | key | shape | content | unit |
    |---|---|---|---|
    | ``image_base``, ``image_left_wrist``, ``image_right_wrist`` | (S, S, 3) uint8 | camera views | |
    | ``proprio`` | (54,) float32 | joint pos 12, joint vel 12, jaw 2, tool pos 6, tool quat 8, command 14 | rad, rad/s, 1, m, 1, as action |
    | ``instruction`` | (256,) uint8 | zero-padded UTF-8 | |
    | ``privileged`` | (16 n + n² + 4,) float32 | `BlockState.to_vector` | m, 1 |

    ## Rewards
    Weighted sum of terms in [0, 1], also in ``info["reward_terms"]``.

    | term | weight | meaning |
    |---|---|---|
    | ``sorted`` | 0.6 | share of bricks in their tray, released, at rest |
    | ``detached`` | 0.2 | share of opened clutches |
    | ``carried`` | 0.1 | nearness of the unsorted loose bricks to their trays |
    | ``reach`` | 0.1 | nearness of each tool to an unsorted brick |

    ## Starting State
    Assembly centre in x -0.07 .. 0.03 m, y -0.05 .. 0.05 m, yaw ±25°; trays ±15 mm; arms at rest.

    ## Episode End
    Terminates when all bricks are sorted or the physics fails (``info["failure"]``); truncation is
    the wrapper's. Progress is the share of sorted bricks.

    ## Arguments
    ``n_bricks`` 1 .. 34, ``layout`` random | layered | mixed, ``instruction_style`` side | colour,
    and those of `envs.dual_arm.DualArmEnv`.
    Reset options: ``events``, ``instruction``, ``rule`` (colour -> "left" | "right").

    ## Version History
    v0: first version.
    """  # noqa: E501

    reward_weights = {"sorted": 0.6, "detached": 0.2, "carried": 0.1, "reach": 0.1}  # noqa: RUF012
    option_names = ("rule",)
    checks_per_tick = 2

    def __init__(
        self,
        *,
        n_bricks: int = 2,
        layout: str = "random",
        instruction_style: str = "side",
        **kwargs: Any,
    ):
        self.level = Level(n_bricks, layout)
        self.style = Style(instruction_style)
        super().__init__(**kwargs)

    # ---------------------------------------------------------------- scene
    def _build(self, options: Mapping[str, Any]) -> mujoco.MjSpec:
        rng = self.np_random
        self.bricks = sample_assembly(rng, self.level)
        self.rule = sample_rule(rng)
        if "rule" in options:
            self.rule = check_rule(options["rule"])
        self.bins = sample_bin_centres(rng, BIN_JITTER)
        self.bin_colours = ("light", "dark") if rng.random() < 0.5 else ("dark", "light")
        self.interfaces = find_interfaces(self.bricks)
        spec = base_scene("block_dismantling", self.timestep_s)
        add_bins(spec, self.bins, self.bin_colours)
        self._origin = np.array([*-footprint_centre(self.bricks), 0.0])
        for i, brick in enumerate(self.bricks):
            add_brick(spec, i, brick, self._origin)
        add_clutches(spec, self.bricks, self.interfaces)
        return spec

    def _start(self, options: Mapping[str, Any]) -> str:
        rng, model = self.np_random, self.model
        n = len(self.bricks)
        self._clutches = Clutches(model, self.interfaces)
        self._contacts = ContactReader(model, n)
        self._bodies = np.array([model.body(f"brick{i}").id for i in range(n)])
        joints = [model.joint(f"brick{i}") for i in range(n)]
        self._brick_qpos = np.array([np.arange(j.qposadr[0], j.qposadr[0] + 7) for j in joints])
        self._brick_dof = np.array([np.arange(j.dofadr[0], j.dofadr[0] + 6) for j in joints])
        self._colours = tuple(b.colour for b in self.bricks)
        self._half_size = np.array([b.half_size for b in self.bricks])
        self._lower = np.array([f.lower for f in self.interfaces], dtype=int)
        self._upper = np.array([f.upper for f in self.interfaces], dtype=int)
        self._rest = np.zeros(n, dtype=int)
        self._falling = np.zeros(n, dtype=bool)
        self._drops = 0
        self._peak_force = 0.0
        yaw = rng.uniform(-ASSEMBLY_YAW, ASSEMBLY_YAW)
        middle = np.array([rng.uniform(*ASSEMBLY_AREA[0]), rng.uniform(*ASSEMBLY_AREA[1]), 0.0])
        middle[2] = -CLEARANCE[2]
        self.move_bricks(range(n), middle, yaw, np.zeros(3))
        return write_instruction(rng, self.rule, self.bin_names)

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
        self, which: Any, shift: NDArray[np.float64], yaw: float, pivot: NDArray[np.float64]
    ) -> None:
        """Turns bricks by `yaw` [rad] about the vertical through `pivot`, then shifts them [m]."""
        data = self.data
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
        active = self._clutches.active(self.data)
        found, todo = {brick}, [brick]
        while todo:
            i = todo.pop()
            near = np.concatenate(
                [self._upper[active & (self._lower == i)], self._lower[active & (self._upper == i)]]
            )
            for j in near.tolist():
                if j not in found:
                    found.add(j)
                    todo.append(j)
        return sorted(found)

    def privileged(self) -> BlockState:
        """Ground truth of the present tick."""
        n = len(self.bricks)
        active = self._clutches.active(self.data)
        joined = np.zeros((n, n), dtype=bool)
        joined[self._lower[active], self._upper[active]] = True
        pos = self.data.xpos[self._bodies]
        return BlockState(
            pos=pos,
            quat=self.data.xquat[self._bodies],
            half_size=self._half_size,
            target=self.targets,
            sorted=self._sorted.copy(),
            in_bin=self._bin_of(pos),
            joined=joined,
            gripped=self._touch.gripped.copy(),
            bins=self.bins.copy(),
        )

    def privileged_vector(self) -> NDArray[np.float32]:
        """`BlockState.to_vector` of the present tick."""
        return self.privileged().to_vector()

    def _privileged_dim(self) -> int:
        return BlockState.vector_dim(self.level.n_bricks)

    def displace(self, which: list[int], shift: NDArray[np.float64], yaw: float) -> None:
        """Moves bricks in one instant, turning about their common middle, and stops them."""
        self.move_bricks(which, shift, yaw, self.middle_of(which))
        self.data.qvel[self._brick_dof[which]] = 0.0
        mujoco.mj_kinematics(self.model, self.data)

    def middle_of(self, which: list[int]) -> NDArray[np.float64]:
        """Mean centre of some bricks, (3,) [m]."""
        return self.data.xpos[self._bodies[which]].mean(axis=0)

    def largest_cluster(self) -> list[int]:
        """The biggest group of clutched bricks outside the trays; ties go to the lowest brick."""
        outside = np.flatnonzero(self._bin_of(self.data.xpos[self._bodies]) == NO_BRICK)
        groups = [self.cluster(int(i)) for i in outside] or [self.cluster(0)]
        return max(groups, key=lambda g: (len(g), -g[0]))

    def loose_bricks(self) -> list[int]:
        """Single bricks that lie on the table outside the trays, not held."""
        outside = self._bin_of(self.data.xpos[self._bodies]) == NO_BRICK
        free = [i for i in np.flatnonzero(outside).tolist() if self.cluster(i) == [i]]
        return [i for i in free if not self._touch.touched[:, i].any()]

    def carried_bricks(self) -> list[int]:
        """Single bricks between the pads of a hand."""
        held = {int(g) for g in self._touch.gripped if g != NO_BRICK}
        return [i for i in sorted(held) if self.cluster(i) == [i]]

    def reattach(self, within_m: float) -> list[int]:
        """Closes open clutches whose bricks nearly fit together; returns their numbers."""
        closed = []
        for k in np.flatnonzero(~self._clutches.active(self.data)).tolist():
            if self._clutches.misfit(self.model, self.data, k) < within_m:
                self._clutches.attach(self.model, self.data, k)
                closed.append(k)
        return closed

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

    # ---------------------------------------------------------------- step
    def _after_segment(self) -> None:
        self._clutches.break_overloaded(self.data)

    def _bin_of(self, pos: NDArray[np.float64]) -> NDArray[np.int64]:
        """Bin each brick's centre is over, or -1, (n,)."""
        gap = np.abs(pos[:, None, :2] - self.bins).max(axis=2)
        return np.where(gap.min(axis=1) < BIN_HALF_SIZE, gap.argmin(axis=1), NO_BRICK)

    def _assess(self) -> Assessment:
        data = self.data
        touch = self._touch = self._contacts.read(data)
        pos = data.xpos[self._bodies]
        velocity = data.qvel[self._brick_dof]
        active = self._clutches.active(data)
        attached = self._attached(active)
        still = (np.abs(velocity) < REST_LIMITS).all(axis=1)
        still &= ~touch.touched.any(axis=0)
        self._rest = (self._rest + 1) * still
        in_bin, targets = self._bin_of(pos), self.targets
        settled = (self._rest >= REST_TICKS) & ~attached
        self._sorted = settled & (in_bin == targets)
        falling = (velocity[:, 2] < -DROP_SPEED) & (in_bin == NO_BRICK)
        if falling.any():
            self._drops += int((falling & ~self._falling).sum())
        self._falling = falling
        self._peak_force = max(self._peak_force, touch.peak_force)

        unsorted = ~self._sorted
        share = 1.0 - np.count_nonzero(unsorted) / len(unsorted)
        gaps = self._tool_gaps(pos, unsorted)
        opened = 1.0 - np.count_nonzero(active) / active.size if active.size else 1.0
        terms = {
            "sorted": share,
            "detached": opened,
            "carried": self._carried(pos, unsorted, attached, targets),
            "reach": sum(near(gap, 0.02, margin=0.4) for gap in gaps) / 2,
        }
        code = np.where(attached, 0, np.where(settled & (in_bin >= 0), 2, 1))
        code[self._sorted] = 3
        details = {
            "bricks": tuple([BRICK_STATES[c] for c in code.tolist()]),
            "brick_colours": self._colours,
            "drops": self._drops,
            "peak_contact_force": self._peak_force,
        }
        success = not unsorted.any()
        phase = "done" if success else self._phase(touch.gripped, attached, gaps, unsorted)
        return Assessment(terms, success, share, phase, details)

    def _attached(self, active: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Bricks with a closed clutch, (n,)."""
        attached = np.zeros(len(self.bricks), dtype=bool)
        attached[self._lower[active]] = True
        attached[self._upper[active]] = True
        return attached

    def _carried(self, pos, unsorted, attached, targets) -> float:
        loose = np.flatnonzero(unsorted & ~attached).tolist()
        if not loose:
            return 0.0 if unsorted.any() else 1.0
        offset = pos[loose, :2] - self.bins[targets[loose]]
        gaps = np.sqrt((offset * offset).sum(axis=1)).tolist()
        return sum(near(gap, BIN_HALF_SIZE, margin=0.4) for gap in gaps) / len(gaps)

    def _tool_gaps(self, pos, unsorted) -> list[float]:
        """Distance of either tool to the nearest unsorted brick [m]; 0 when none is left."""
        if not unsorted.any():
            return [0.0, 0.0]
        offset = self.data.site_xpos[self._ports.tool_sites][:, None] - pos[unsorted]
        return np.sqrt((offset * offset).sum(axis=2).min(axis=1)).tolist()

    def _phase(self, gripped, attached, gaps, unsorted) -> str:
        held = [g for g in gripped.tolist() if g != NO_BRICK and unsorted[g]]
        if held:
            if any(not attached[g] for g in held):
                return "carry"
            both = len(held) == len(ARMS) and held[1] in self.cluster(held[0])
            return "pull" if both else "grasp"
        return "reach" if min(gaps) < REACH_DISTANCE else "approach"

    # ---------------------------------------------------------------- snapshots
    def _task_snapshot(self) -> Any:
        return (
            dict(self.rule),
            self.bin_colours,
            self._rest.copy(),
            self._falling.copy(),
            self._drops,
            self._peak_force,
            self._sorted.copy(),
            self._touch,
        )

    def _task_restore(self, state: Any) -> None:
        rule, self.bin_colours, rest, falling, self._drops, self._peak_force = state[:6]
        self.rule = dict(rule)
        self._rest, self._falling = rest.copy(), falling.copy()
        self._sorted, self._touch = state[6].copy(), state[7]
