"""Two clutched bricks of their own, checked as a world's task checks them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

TIMESTEP_S = 1 / 1200
"""Physics step of the task [s]."""


class ClutchRig:
    """One brick on another of the same size.

    Args:
        size: Studs along x and y.
        world: World whose contacts and checks hold.
        origin: Where the lower brick's corner stands, (3,) [m].
        edit: Changes the scene before it is compiled.

    Attributes:
        model: Compiled scene; ``brick0`` is the lower brick.
        data: Its state.
        face: Their interface.
        peak: Highest load in any physics step while the clutch was closed [share of the limit].
        opened: Whether the clutch has opened.
    """

    def __init__(
        self,
        size: tuple[int, int],
        world: str,
        origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
        edit: Callable[[Any], None] | None = None,
    ) -> None:
        import mujoco

        from envs.block_dismantling.bricks import Brick, add_brick
        from envs.block_dismantling.clutch import Clutches, add_clutches, find_interfaces
        from envs.block_dismantling.rules import block_rules
        from envs.control_rate import substeps
        from envs.scene.stage import base_scene
        from envs.world import find_world

        found = find_world(world)
        rules = block_rules(found)
        bricks = (Brick("red", size, (0, 0), 0), Brick("blue", size, (0, 0), 1))
        interfaces = find_interfaces(bricks)
        (self.face,) = interfaces
        spec = base_scene("clutch", TIMESTEP_S, world=found)
        for index, brick in enumerate(bricks):
            add_brick(spec, index, brick, np.array(origin), rules.contact_s, rules.contact_weight)
        add_clutches(spec, bricks, interfaces)
        if edit is not None:
            edit(spec)
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        mujoco.mj_forward(self.model, self.data)
        self._clutches = Clutches(self.model, interfaces, rules.look_every)
        steps = substeps(TIMESTEP_S)
        self._check_every = steps // (rules.checks_per_tick or steps)
        self._step = 0
        self.peak, self.opened = 0.0, False

    def body(self, brick: int) -> int:
        """Body of the lower (0) or the upper (1) brick."""
        return int(self.model.body(f"brick{brick}").id)

    def step(self) -> bool:
        """One physics step and what the task does after it; returns whether the clutch is open."""
        import mujoco

        mujoco.mj_step(self.model, self.data)
        self._step += 1
        if not self.opened:
            _, load = self._clutches.load(self.data)
            self.peak = max(self.peak, float(load[0]))
            if self._step % self._check_every == 0:
                self._clutches.watch(self.data)
                self.opened = not self._clutches.active(self.data)[0]
        return self.opened
