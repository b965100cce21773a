"""The block-dismantling task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import envs.block_dismantling.events  # noqa: F401  (registers what may happen here)
from envs.assessment import Assessment
from envs.block_dismantling.assembly import Level
from envs.block_dismantling.brick_scene import BrickScene
from envs.block_dismantling.instructions import Style
from envs.block_dismantling.rules import block_rules
from envs.block_dismantling.state import NO_BRICK
from envs.reward import near
from xr0_sim.conventions import ARMS

REACH_DISTANCE = 0.12
"""A tool this near to an unsorted brick is reaching for it [m]."""
PHASES = ("approach", "reach", "grasp", "pull", "carry", "done")


class BlockDismantlingEnv(BrickScene):
    """Two arms take a brick assembly apart and sort the bricks into two trays.

    ## Description
    A connected assembly of Duplo-like bricks stands loose on the table: one arm must hold while the
    other pulls, and every brick goes into the tray that the instruction names for its colour.
    Bricks are held together by breakable clutches (`envs.block_dismantling.clutch`).

    ## Action Space
    ``Box(-1, 1, (14,))`` float32, absolute targets for the end of the tick; -1 and 1 stand for the
    bounds of each entry (joint limits of `envs.robot.facts`; see `envs.robot.actions.from_unit`).

    | index | ``action_mode="joint"`` | unit | ``action_mode="tool"`` | unit |
    |---|---|---|---|---|
    | 0:6 / 7:13 | left / right joint targets | rad | 0:3 / 7:10 tool position, world | m |
    |  |  |  | 3:6 / 10:13 tool rotation vector, world | rad |
    | 6 / 13 | jaw opening, 0 closed .. 1 open | 1 | the same | 1 |

    Targets are clipped to the joint ranges and to the joint speeds of `envs.robot.facts`.

    ## Observation Space
    ``Dict``; ``observation="state"`` has ``privileged`` instead of the pictures.

    | key | shape | content | unit |
    |---|---|---|---|
    | ``image_base``, ``image_left_wrist``, ``image_right_wrist`` | (S, S, 3) uint8 | camera views | |
    | ``proprio`` | (54,) float32 | joint pos 12, joint vel 12, jaw 2, tool pos 6, tool quat 8, command 14 | rad, rad/s, 1, m, 1, as action |
    | ``instruction`` | (256,) uint8 | zero-padded UTF-8 | |
    | ``tick`` | (1,) int32 | control tick; 0 in the first observation of an episode | tick |
    | ``privileged`` | (16 n + n² + 4,) float32 | `BlockState.to_vector` | m, 1 |

    ## Rewards
    Weighted sum of terms in [0, 1], also in ``info["reward_terms"]``.

    | term | weight | meaning |
    |---|---|---|
    | ``sorted`` | 0.6 | share of sorted bricks, see below |
    | ``detached`` | 0.2 | share of opened clutches |
    | ``carried`` | 0.1 | nearness of the unsorted loose bricks to their trays |
    | ``reach`` | 0.1 | nearness of each tool to an unsorted brick |

    A brick is sorted once it lies in its tray with all eight corners within the walls and below the
    rim (68 mm), untouched and still for 0.5 s, every hand farther than 50 mm; it stays sorted until
    it is touched or moves. World 0.1 asks for its centre above the tray and 0.17 s of rest.
    ``info["bricks"]`` says of each brick ``attached``, ``detached``, ``misplaced``, ``sorted`` or
    ``lost`` (below the table), ``info["break_loads"]`` at what share of its limit each clutch
    opened.

    ## Starting State
    Assembly centre in x -0.07 .. 0.03 m, y -0.05 .. 0.05 m, yaw ±25°; trays ±15 mm; arms at rest.

    ## Episode End
    Terminates when all bricks are sorted; truncation is the wrapper's. Physics that breaks raises
    `SimulationError`. Progress is the share of sorted bricks.

    ## Arguments
    ``n_bricks`` 1 .. 34, ``layout`` random | layered | mixed, ``instruction_style`` side | colour,
    and those of `envs.dual_arm.DualArmEnv`.
    Reset options: ``events``, ``instruction``, ``rule`` (colour -> "left" | "right").

    ## Version History
    v0: first version.
    """  # noqa: E501

    reward_weights = {"sorted": 0.6, "detached": 0.2, "carried": 0.1, "reach": 0.1}  # noqa: RUF012
    option_names = ("rule",)
    phases = PHASES[:-1]  # the last one ends the episode

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
        self.rules = block_rules(self.world)
        self.checks_per_tick = self.rules.checks_per_tick or self.substeps

    def _assess(self) -> Assessment:
        data, judge = self.data, self._judge
        touch = self._touch = self._contacts.read(data)
        pos = data.xpos[self._bodies].tolist()
        speed = data.qvel[self._brick_dof[0, 0] :].reshape(-1, 6).tolist()
        active = self._clutches.active(data).tolist()
        attached = self._attached(active)
        states = judge.update(pos, speed, touch, attached, self.rule)
        unsorted = [i for i, done in enumerate(judge.sorted) if not done]
        share = 1.0 - len(unsorted) / len(pos)
        gaps = self._tool_gaps([pos[i] for i in unsorted])
        terms = {
            "sorted": share,
            "detached": 1.0 - sum(active) / len(active) if active else 1.0,
            "carried": judge.carried(pos, attached, self.rule),
            "reach": sum(near(gap, 0.02, margin=0.4) for gap in gaps) / 2,
        }
        details = {
            "bricks": states,
            "brick_colours": self._colours,
            "drops": judge.drops,
            "peak_contact_force": judge.peak_force,
            "break_loads": tuple(self._clutches.break_loads),
        }
        success = not unsorted
        phase = "done" if success else self._phase(touch.gripped, attached, gaps)
        return Assessment(terms, success, share, phase, details)

    def _attached(self, active: list[bool]) -> list[bool]:
        """Bricks with a closed clutch."""
        attached = [False] * len(self.bricks)
        for face, holds in zip(self.interfaces, active, strict=True):
            if holds:
                attached[face.lower] = attached[face.upper] = True
        return attached

    def _tool_gaps(self, pos: list[list[float]]) -> list[float]:
        """Distance of either tool to the nearest of some points [m]; 0 without points."""
        if not pos:
            return [0.0, 0.0]
        sites = self.data.site_xpos
        tools = [sites[site].tolist() for site in self._tool_sites]
        return [min(math.dist(tool, p) for p in pos) for tool in tools]

    def _phase(self, gripped: Sequence[int], attached: list[bool], gaps: list[float]) -> str:
        held = [g for g in gripped if g != NO_BRICK and not self._judge.sorted[g]]
        if held:
            if any(not attached[g] for g in held):
                return "carry"
            both = len(held) == len(ARMS) and held[1] in self.cluster(held[0])
            return "pull" if both else "grasp"
        return "reach" if min(gaps) < REACH_DISTANCE else "approach"

    # ---------------------------------------------------------------- snapshots
    def _task_snapshot(self) -> Any:
        books = self._judge.snapshot(), self._clutches.snapshot()
        return dict(self.rule), self.bin_colours, books, self._touch

    def _task_restore(self, state: Any) -> None:
        rule, self.bin_colours, (books, clutches), self._touch = state
        self.rule = dict(rule)
        self._clutches.restore(clutches)
        self._judge.restore(books)
