"""A running episode that takes orders: pause, step, push, another latency or strategy."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from envs.events import fitting_events
from envs.scene.shapes import SceneShapes
from experiments.options.condition_options import ConditionOptions
from experiments.report.episode_scene import shape_data
from experiments.runner.episode_run import EpisodeSetup
from xr0_sim.errors import ConfigError, InvalidEpisodeError, Xr0SimError
from xr0_sim.perturb.registry import parse_events
from xr0_sim.registry import latencies, strategies

LATE_S = 0.5
"""A session that is late by more gives up catching up; chosen."""
CHANGES = ("latency", "strategy", "head", "temperature")
"""Options that can change while the robot moves."""

Publish = Callable[[Mapping[str, Any]], None]


class LiveSession:
    """Plays one condition in real time, as far as the machine keeps up, and tells what happens.

    Simulated time is the executor's as everywhere: a latency of 80 ms is 80 ms of it, however long
    the network takes here. The session belongs to the thread that made it, as the renderer does;
    `order` may be called from any other.

    Args:
        options: What runs at first.
        seed: Seed of the first episode.
        publish: Told every frame and every message, as JSON values.
    """

    def __init__(self, options: ConditionOptions, seed: int, publish: Publish) -> None:
        self._options, self._publish = options, publish
        self._orders: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
        self._playing, self._speed, self._stopped = False, 1.0, False
        self._setup = EpisodeSetup(options.condition())
        self.restart(seed)

    @property
    def scene(self) -> dict[str, Any]:
        """What does not move: shapes, and what can be asked for."""
        return self._scene

    @property
    def frame(self) -> dict[str, Any]:
        """The present state."""
        return self._frame

    def order(self, order: Mapping[str, Any]) -> None:
        """Puts an order behind those that wait; see `obey`."""
        self._orders.put(order)

    def stop(self) -> None:
        """Ends `run` soon."""
        self._stopped = True
        self._orders.put({"do": "pause"})

    def run(self) -> None:
        """Obeys and plays until `stop`."""
        due = time.monotonic()
        while not self._stopped:
            self._obey_all(wait=not self._playing)
            if not self._playing:
                due = time.monotonic()
                continue
            self.tick()
            due += 1.0 / (self._setup.plant.control_hz * self._speed)
            late = time.monotonic() - due
            if late > LATE_S:
                due += late
            elif late < 0:
                time.sleep(-late)

    def _obey_all(self, wait: bool) -> None:
        while True:
            try:
                order = self._orders.get(block=wait)
            except queue.Empty:
                return
            wait = False
            try:
                self.obey(order)
            except Xr0SimError as error:
                self._say(str(error))
            if self._stopped:
                return

    def obey(self, order: Mapping[str, Any]) -> None:
        """Does what an order says.

        Args:
            order: ``do`` and its fields: play, pause, step, restart (seed), speed (factor), event
                (name), change (one of `CHANGES` and value).

        Raises:
            Xr0SimError: It cannot be done; nothing has changed.
        """
        do = order.get("do")
        if do in ("play", "pause"):
            self._playing = do == "play" and not self._over
            self._show()
        elif do == "step":
            self._playing = False
            self.tick()
        elif do == "restart":
            seed = order.get("seed", self._seed)
            if type(seed) is not int or not 0 <= seed < 2**31:
                raise ConfigError(f"seed: expected a whole number from 0 on, got {seed!r}")
            self.restart(seed)
        elif do == "speed":
            factor = order.get("factor")
            if not isinstance(factor, int | float) or not 0.05 <= factor <= 10:
                raise ConfigError(f"speed: expected a factor 0.05 .. 10, got {factor!r}")
            self._speed = float(factor)
        elif do == "event":
            self._push(str(order.get("name")))
        elif do == "change":
            self._change(str(order.get("option")), str(order.get("value")))
        else:
            raise ConfigError(f"order: expected one that is known, got {str(do)[:40]!r}")

    def restart(self, seed: int) -> None:
        """Begins an episode anew."""
        setup = self._setup
        setup.plant.reset(seed, {"events": list(setup.condition.events)})
        setup.executor.reset(seed, setup.plant.robot_state().command)
        self._seed, self._over = seed, False
        self._what: list[str] = []
        self._drawn = SceneShapes(setup.env.model)
        presets = fitting_events(type(setup.env), setup.env.world)
        self._scene = {
            **shape_data(self._drawn.shapes),
            "triangles": self._drawn.triangles.ravel().tolist(),
            "bodies": len(self._drawn.poses(setup.env.data)),
            "points": len(self._drawn.cloth(setup.env.data)),
            "events": list(presets),
            "strategies": list(strategies.names()),
            "latencies": list(latencies.names()),
        }
        self._record: Any = None
        self._info: Mapping[str, Any] = {}
        self._publish({"scene": self._scene})
        self._show()

    def tick(self) -> None:
        """Plays one control tick."""
        if self._over:
            self._playing = False
            return
        setup = self._setup
        plant, policy = setup.plant, setup.policy
        try:
            self._record = setup.executor.tick(lambda: plant.observe(images=policy.looks))
            plant.note_inferences(setup.executor.inferences())
            _, ended, _, self._info = plant.step(self._record.action)
        except InvalidEpisodeError as error:
            ended = True
            self._say(f"invalid: {error}")
        self._what = [
            f"{event.kind} refused: {event.refused}" if event.refused else event.kind
            for event in self._info.get("events", ())
        ]
        if ended:
            self._over, self._playing = True, False
        self._show()

    def _push(self, name: str) -> None:
        env = self._setup.env
        if name not in self._scene["events"]:
            raise ConfigError(f"event: expected one of this task's, got {name[:40]!r}")
        if self._over:
            raise ConfigError("event: the episode is over; restart")
        (event,) = parse_events([f"{name}@tick:{env.tick}"])
        env.add_event(event)

    def _change(self, option: str, value: str) -> None:
        if option not in CHANGES:
            raise ConfigError(f"change: expected {', '.join(CHANGES)}, got {option[:40]!r}")
        given: Any = value or None
        if option == "temperature":
            try:
                given = float(value)
            except ValueError:
                raise ConfigError(f"temperature: expected a number, got {value[:40]!r}") from None
        options = replace(self._options, **{option: given})
        setup = EpisodeSetup(options.condition())
        if setup.env is not self._setup.env:
            raise ConfigError(f"{option} {value}: needs other pictures; start watch anew with it")
        # The robot holds its last command until the first chunk of the new executor arrives.
        setup.executor.reset(self._seed, setup.plant.robot_state().command, setup.env.tick)
        self._options, self._setup = options, setup
        self._say(f"from tick {setup.env.tick} on: {setup.condition.label}")
        self._show()

    def _say(self, text: str) -> None:
        self._publish({"message": text})

    def _show(self) -> None:
        env, record = self._setup.env, self._record
        told: dict[str, Any] = {"chunk": -1, "hold": True}
        if record is not None:
            told = {
                "chunk": int(record.chunk_id),
                "age": int(record.age_ticks),
                "queue": int(record.queue),
                "hold": bool(record.hold),
                "inferring": bool(record.inferring),
                "captured": bool(record.started >= 0),
            }
        self._frame = {
            **told,
            "tick": env.tick,
            "seed": self._seed,
            "playing": self._playing,
            "over": self._over,
            "success": bool(self._info.get("success", False)),
            "progress": float(self._info.get("progress", 0.0)),
            "phase": env.phase,
            "instruction": env.instruction,
            "label": self._setup.condition.label,
            "what": self._what,
            "poses": self._drawn.poses(env.data).ravel().round(4).tolist(),
            "cloth": self._drawn.cloth(env.data).ravel().round(4).tolist(),
        }
        self._publish({"frame": self._frame})
