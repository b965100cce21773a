"""One episode in this process: its policy, its plant, its watchers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from envs.tasks import make_env
from experiments.runner.checked_plant import CheckedPlant
from experiments.runner.condition import Condition
from experiments.runner.film_options import SCENE_CAMERA, FilmOptions
from experiments.runner.pool import check_stop
from experiments.runner.uncollected import uncollected
from policies.table import Policy, policy_spec
from policies.xr0.checkpoints import Weights
from xr0_sim.errors import SimulationError
from xr0_sim.record import TickLog, TickTable
from xr0_sim.runtime import Executor, run_episode
from xr0_sim.runtime.episode import EpisodeLoop
from xr0_sim.runtime.episode_ports import EpisodeResult, EpisodeStart, Subscriber, TickSample
from xr0_sim.types import EventRecord
from xr0_sim.view import Insets, Overlay, VideoRecorder

VIDEO_FOLDER = "videos"


@dataclass(frozen=True)
class Ran:
    """An episode that was run.

    Attributes:
        result: What came of it.
        table: Its tick log.
        video: Its film, if there is one.
        shared_ticks: Ticks it has from its twin; 0 if it was run from its beginning.
    """

    result: EpisodeResult
    table: TickTable
    video: Path | None = None
    shared_ticks: int = 0


@dataclass(frozen=True)
class EpisodeTask:
    """What a worker is asked to do.

    Attributes:
        condition: Everything but the seed.
        seed: Seed of scene, latencies and noise.
        folder: Where logs and videos go; None to keep nothing.
        film: How the episode is filmed; None for no film. A twin is never filmed.
        branch: Whether an episode with events may go on from its twin; the result is the same.
    """

    condition: Condition
    seed: int
    folder: Path | None = None
    film: FilmOptions | None = None
    branch: bool = True


class StopSwitch:
    """Subscriber that ends an episode when the user has interrupted the parent process."""

    def on_reset(self, start: EpisodeStart) -> None:
        """Nothing to do."""

    def on_tick(self, sample: TickSample) -> None:
        """Looks once per tick."""
        check_stop()

    def on_event(self, event: EventRecord) -> None:
        """Nothing to do."""

    def on_end(self, result: EpisodeResult) -> None:
        """Nothing to do."""


@lru_cache(maxsize=4)
@uncollected(stays=True)
def loaded_policy(name: str, weights: Weights | None) -> Policy:
    """Loaded weights, shared by conditions; their digest tells versions apart."""
    return policy_spec(name).load(weights)


@lru_cache(maxsize=2)
def _plant(
    env: str,
    image_size: int | None,
    film: bool,
    size: tuple[int, int] | None,
    env_kwargs: tuple[tuple[str, Any], ...],
) -> Any:
    from envs.plant import EnvPlant

    given = dict(env_kwargs) if size is None else {**dict(env_kwargs), "render_size": size}
    return EnvPlant(make_env(env, image_size=image_size, filmed=film, **given))


class EpisodeSetup:
    """Everything an episode of a condition needs, made once for a twin and what branches from it.

    Args:
        condition: What runs.
        film: How it is filmed; None for no film.
    """

    def __init__(self, condition: Condition, film: FilmOptions | None = None) -> None:
        self.condition = condition
        self.policy = loaded_policy(condition.policy, condition.weights)
        env_kwargs = tuple(sorted(condition.env_kwargs.items()))
        size = None if film is None else film.size
        looks = self.policy.image_size
        self._plant = _plant(condition.env, looks, film is not None, size, env_kwargs)
        self.env = self._plant.env
        self.plant = CheckedPlant(self._plant)
        self.executor = Executor(
            self.policy.bind(self.env),
            condition.strategy,
            condition.latency,
            condition.estimator,
            self.plant.control_hz,
            getattr(self.env, "standstill", None),
        )

    def run(
        self,
        seed: int,
        watchers: Sequence[Subscriber],
        before_step: Callable[[EpisodeLoop], None] | None = None,
    ) -> EpisodeResult | None:
        """Runs an episode from its beginning; None if its reset failed and no tick was played."""
        try:
            return run_episode(
                self.plant,
                self.executor,
                watchers,
                seed=seed,
                options={"events": list(self.condition.events)},
                max_ticks=self.condition.max_ticks,
                images=self.policy.looks,
                before_step=before_step,
                max_stalled_ticks=self.condition.stall_ticks,
            )
        except SimulationError as error:
            self.why = str(error)
            return None

    def never_began(self, seed: int) -> Ran:
        """What is to be said of an episode whose reset failed."""
        empty = TickLog().table()
        meta = {"seed": seed, "control_hz": self.plant.control_hz, "outcome": "invalid"}
        result = EpisodeResult(
            seed, "invalid", 0.0, 0, 0.0, 0.0, False, False, invalid_reason=self.why
        )
        return Ran(result, TickTable(empty.columns, meta))


def run_whole(condition: Condition, task: EpisodeTask) -> Ran:
    """Runs an episode of a condition from its beginning to its end."""
    setup = EpisodeSetup(condition, task.film)
    log = TickLog()
    watchers: list[Any] = [log, StopSwitch()]
    film = task.film
    recorder = None
    if film is not None and task.folder is not None:
        recorder = _recorder(setup, film, task.folder / VIDEO_FOLDER)
        watchers.append(recorder)
    result = setup.run(task.seed, watchers)
    if result is None:
        return setup.never_began(task.seed)
    return Ran(result, log.table(), recorder.paths[-1] if recorder and recorder.paths else None)


def _recorder(setup: EpisodeSetup, film: FilmOptions, folder: Path) -> VideoRecorder:
    env, condition = setup.env, setup.condition
    scene = film.camera == SCENE_CAMERA
    picture = env.render if scene else partial(env.film_image, film.camera)
    if scene and film.insets:
        picture = Insets(picture, env.camera_images)
    return VideoRecorder(
        folder,
        condition.env if scene else f"{condition.env}_{film.camera}",
        picture,
        Overlay("", condition.label),
        film.every,
    )
