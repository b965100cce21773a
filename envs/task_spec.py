"""What a task says about itself: one `TaskSpec`, read by every command.

``envs/<task>/spec.py`` holds the spec of a task that ships; a plug-in registers its own::

    from envs.task_spec import TaskSpec
    from xr0_sim.registry import tasks

    tasks.add("my_task", TaskSpec(env=MyEnv, env_kwargs={"n_objects": 3}, time_limit_s=60.0))

``xr0-sim rollout --plugin my_task.py --env my_task:n_objects=5`` then runs it. Whatever is heavy
is named by a ``module:attribute`` string and imported when it is used.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from envs.world import STAGE_ARGUMENTS, find_world
from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.grammar import parse_value
from xr0_sim.registry import import_attribute

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv

EnvKwargs = Mapping[str, Any]
"""Arguments of an environment that make it easier or harder, complete: the task's own, and the
`envs.world.STAGE_ARGUMENTS`."""


@dataclass(frozen=True)
class BenchTargets:
    """What a step of the task is held to by ``xr0-sim bench env``; None where nothing is asked.

    Attributes:
        step_ratio: Largest cost of a step over its physics.
        physics: Smallest real-time factor of the physics alone.
        pictures: Smallest real-time factor with three 128² pictures a tick.
    """

    step_ratio: float | None = None
    physics: float | None = None
    pictures: float | None = None


@dataclass(frozen=True)
class MetricColumn:
    """One line of a table.

    Attributes:
        figure: Name in the episode rows.
        label: Name people read, with its unit.
        scale: Factor from the figure's unit to the label's.
        meaning: One line of explanation.
    """

    figure: str
    label: str
    scale: float
    meaning: str


def _succeeded(info: Mapping[str, Any]) -> int:
    return int(info["success"])


def _no_check(env_kwargs: EnvKwargs) -> None:
    del env_kwargs


def _listed(env_kwargs: EnvKwargs) -> str:
    return ", ".join(f"{name} {value}" for name, value in env_kwargs.items())


def _nothing_missing() -> str:
    return ""


def _nothing_asked(env_kwargs: EnvKwargs) -> BenchTargets:
    del env_kwargs
    return BenchTargets()


@dataclass(frozen=True)
class TaskSpec:
    """A task: its environment, what it is measured by, and who can play and teach it.

    Attributes:
        env: Class of the environment, a `envs.dual_arm.DualArmEnv` or a
            `envs.outside.env.OutsideEnv`, or ``module:attribute``.
        env_kwargs: Arguments of the class that a user may choose, with their defaults.
        check: Raises `ConfigError` for values of ``env_kwargs`` that do not exist.
        words: Short description of ``env_kwargs`` for captions, e.g. ``2 bricks``.
        time_limit_s: Default time limit of an episode [simulated s], or a function of
            ``env_kwargs``. `gymnasium.make` and the command line both read it here.
        pieces: What throughput counts, e.g. ``bricks``; the figure is ``<pieces>_per_min``.
        count: Number of finished pieces from the info of a tick.
        events: Module that registers the task's own events; "" without any.
        event_aliases: Common name of an event preset -> the task's own, where they differ.
        figures: Key of the info -> figure that the scripted expert is measured by; of a value per
            arm, the sum.
        columns: Lines that tables show of this task besides those of every task; by default the
            throughput.
        bench: Targets of ``xr0-sim bench env``, from ``env_kwargs``.
        expert: Scripted expert, from the robot's kinematics, or ``module:attribute``; "" without.
        supervision: Function that returns the task's part of data and training, see
            `policies.supervision.table.Lesson`, or ``module:attribute``; "" without.
        execution_horizon: Executed rows of a chunk before the next inference that suit policies
            trained on the task.
        gym_id: Id in Gymnasium's registry; "" for none.
        stage: Arguments that its environment takes beside ``env_kwargs``, with their defaults; an
            environment that is not played on our stage takes none.
        control_hz: Control rate [Hz], where ``env_kwargs`` have none of that name.
        missing: What keeps the task from running on this machine, in one line; "" if nothing does.
    """

    env: str | type[DualArmEnv]
    env_kwargs: EnvKwargs = field(default_factory=dict)
    check: Callable[[EnvKwargs], None] = _no_check
    words: Callable[[EnvKwargs], str] = _listed
    time_limit_s: float | Callable[[EnvKwargs], float] = 60.0
    pieces: str = "pieces"
    count: Callable[[Mapping[str, Any]], int] = _succeeded
    events: str = ""
    event_aliases: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[MetricColumn, ...] = ()
    bench: Callable[[EnvKwargs], BenchTargets] = _nothing_asked
    expert: str | Callable[[Any], Any] = ""
    supervision: str | Callable[[], Any] = ""
    execution_horizon: int = 20
    gym_id: str = ""
    stage: EnvKwargs = field(default_factory=STAGE_ARGUMENTS.copy)
    control_hz: int = CONTROL_HZ
    missing: Callable[[], str] = _nothing_missing

    @property
    def env_class(self) -> type[DualArmEnv]:
        """Class of the environment.

        Raises:
            ConfigError: It cannot be imported, or is neither a `DualArmEnv` nor an `OutsideEnv`.
        """
        found = import_attribute(self.env) if isinstance(self.env, str) else self.env
        if not (isinstance(found, type) and _is_environment(found)):
            raise ConfigError(
                f"task env {self.env!r}: expected a subclass of envs.dual_arm.DualArmEnv, got "
                f"{found!r}"
            )
        return found

    @property
    def metric_columns(self) -> tuple[MetricColumn, ...]:
        """`columns`, or the throughput where none are given."""
        throughput = f"{self.pieces}_per_min", f"{self.pieces}/min"
        return self.columns or (MetricColumn(*throughput, 1.0, "finished per simulated minute"),)

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments that a user may choose, with their defaults: the task's, then the stage's."""
        return {**self.env_kwargs, **self.stage}

    def describe(self, env_kwargs: EnvKwargs) -> str:
        """`words` and the stage's arguments, e.g. ``2 bricks, world 0.2, servo ideal``."""
        usual = {name: self.stage[name] for name in ("senses", "looks") if name in self.stage}
        stage = [
            f"{name} {env_kwargs[name]}"
            for name in self.stage
            if name not in usual or env_kwargs[name] != usual[name]
        ]
        return ", ".join(part for part in (self.words(env_kwargs), *stage) if part)

    def seconds(self, env_kwargs: EnvKwargs) -> float:
        """Default time limit of an episode [simulated s]."""
        limit = self.time_limit_s
        return float(limit(env_kwargs) if callable(limit) else limit)

    def rate(self, env_kwargs: EnvKwargs) -> int:
        """Control rate of an environment with these arguments [Hz]."""
        return int(env_kwargs.get("control_hz", self.control_hz))

    def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """`env_kwargs` and the stage's arguments with some of them given, checked.

        Raises:
            ConfigError: An argument that the task does not have, or a value that does not exist.
        """
        known = self.arguments
        for name in given:
            if name not in known:
                raise unknown_name("argument of the task", name, known)
        env_kwargs = {**known, **given}
        self.check(env_kwargs)
        return {**env_kwargs, **(_checked_stage(env_kwargs) if self.stage else {})}

    def parsed(self, texts: Mapping[str, str], what: str) -> dict[str, Any]:
        """Values of some arguments from text, by the types that the environment declares.

        Args:
            texts: Argument -> text.
            what: For messages, e.g. ``env 'my_task'``.
        """
        if not texts:
            return {}
        hints = typing.get_type_hints(self.env_class.__init__)
        values = {}
        for name, text in texts.items():
            known = self.arguments
            if name not in known:
                raise unknown_name(f"field of {what}", name, known)
            hint = str if name in self.stage else hints.get(name, type(known[name]))
            values[name] = parse_value(hint, text, f"{what}, field {name}")
        return values


def _is_environment(found: type) -> bool:
    from envs.outside.env import OutsideEnv

    if issubclass(found, OutsideEnv):
        return True
    from envs.dual_arm import DualArmEnv

    return issubclass(found, DualArmEnv)


def _checked_stage(env_kwargs: EnvKwargs) -> dict[str, str]:
    """The stage's arguments, with the world's servo where none is named.

    Raises:
        ConfigError: A value that does not exist.
    """
    from envs.robot.servos import find_servo
    from envs.scene.looks import find_looks
    from envs.senses.base import find_senses

    servo = env_kwargs["servo"] or find_world(env_kwargs["world"]).servo
    find_servo(servo)
    find_senses(env_kwargs["senses"])
    find_looks(env_kwargs["looks"])
    return {"servo": servo}
