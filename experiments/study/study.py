"""A study: the same seeds under every combination of some factors, and what came of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envs.tasks import parse_task
from experiments.options.condition_options import ConditionOptions
from experiments.runner.condition import Condition
from experiments.runner.episode_rows import Row
from experiments.runner.result_folder import FIXED_VERSIONS, fresh_folder
from experiments.study.analysis import Analysis
from experiments.study.conditions import conditions_of
from experiments.study.design import Design, Rule, cell_name
from experiments.study.engines import engine_of
from experiments.study.folder import CARD, StudyFolder, read_rows
from experiments.study.freeze import freeze
from experiments.study.jobs import Key
from experiments.study.latency_limit import latency_factors
from experiments.study.running import run_study, study_card
from experiments.study.schema import check_factor_names, data_frame
from experiments.study.until import MOST_SEEDS, run_until
from xr0_sim.errors import ConfigError
from xr0_sim.record.runcard import read_run_card

if TYPE_CHECKING:
    import pandas as pd


class Study(Analysis):
    """Factors, the conditions they span, and the rows that were run; one row an episode.

    ::

        study = Study(
            "block_dismantling:n_bricks=2",
            policy="oracle",
            factors={"strategy": ["sync", "prefix_async"], "latency": [0, 80, 200]},
            seeds=20,
        )
        study.run("out/delays", workers=2)
        study.frame().groupby(["strategy", "latency"], observed=True)["success"].mean()

    Every condition sees the same seeds, hence the same scenes, latencies and noise: episodes of
    equal seeds are pairs. Bare numbers as latencies are milliseconds.

    Args:
        env: Task, or ``TASK:field=value,...``.
        factors: Factor -> levels. A factor is an option of a condition (a field of
            `experiments.options.condition_options.ConditionOptions`: ``policy``, ``checkpoint``,
            ``head``, ``window``, ``temperature``, ``strategy``, ``execution_horizon``,
            ``prefix_steps``, ``alignment``, ``latency``, ``estimator``, ``delay_error``, ``event``,
            ``level``, ``world``, ``servo``, ``senses``, ``looks``, ...), a field of a plug
            (``strategy.execution_horizon``, ``event.distance_m``, ``event.trigger``,
            ``latency.std_s``, ``env.n_bricks``), or a name of your own whose levels are a mapping
            from text to the options it sets.
        seeds: Seeds, or how many from 0 on.
        conditions: Combinations of levels that are run, where it is not all of them.
        exclude: Reason -> what is not run for it, or such pairs: a predicate of a combination
            (factor -> text of the level), or a mapping from factors to a level or several.
        cluster: Factor whose levels are a sample, such as trainings of one policy.
        reference: Factor -> level that the others are compared with; by default the first.
        **fixed: Options that all conditions share.

    Attributes:
        design: Resolved form of these arguments.
        folder: Where its rows are; None before the first run.
    """

    def __init__(
        self,
        env: str = "block_dismantling",
        *,
        factors: Mapping[str, Any],
        seeds: int | Iterable[int] = 10,
        conditions: Sequence[Mapping[str, Any]] | None = None,
        exclude: Mapping[str, Rule] | Sequence[tuple[str, Rule]] | None = None,
        cluster: str | None = None,
        reference: Mapping[str, Any] | None = None,
        **fixed: Any,
    ) -> None:
        check_factor_names(factors)
        if "env" not in factors:
            fixed = {"env": env, **fixed}
        self.design = Design.make(
            fixed=fixed,
            factors=factors,
            seeds=seeds,
            conditions=conditions,
            exclude=exclude,
            cluster=cluster,
            reference=reference,
        )
        self.folder: Path | None = None
        self._rows: dict[Key, Row] = {}
        self._card: dict[str, Any] | None = None
        self._conditions: dict[str, Condition] | None = None

    # ---------------------------------------------------------------- what it is
    @property
    def factors(self) -> dict[str, list[str]]:
        """Factor -> texts of its levels, in order."""
        return {name: list(levels) for name, levels in self.design.factors.items()}

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of every condition."""
        return self.design.seeds

    @property
    def cluster(self) -> str | None:
        """Factor whose levels are a sample."""
        return self.design.cluster

    @property
    def reference(self) -> dict[str, str]:
        """Factor -> level that the others are compared with."""
        return dict(self.design.reference)

    @property
    def latencies(self) -> dict[str, dict[str, float]]:
        """Factors whose levels are latencies -> level -> its mean [s]."""
        return latency_factors(self.design)

    @property
    def excluded(self) -> list[dict[str, Any]]:
        """Combinations that are not run: their ``levels``, and the ``reason``."""
        return [{"levels": dict(e.levels), "reason": e.reason} for e in self.design.excluded]

    @property
    def task(self) -> str:
        """Name of the task, of the first condition where it is a factor."""
        settings = self.design.settings(self.design.cells[0])
        return parse_task(settings.get("env", ConditionOptions.env))[0]

    @property
    def conditions(self) -> dict[str, dict[str, str]]:
        """Name of every condition -> its level of every factor, in table order."""
        return {cell_name(cell): dict(cell) for cell in self.design.cells}

    @property
    def card(self) -> dict[str, Any] | None:
        """Versions, commit, digests of weights and the like; None before the first run."""
        return self._card

    @property
    def rows(self) -> list[Row]:
        """Rows by condition and seed, as they stand in ``rows.jsonl``."""
        known = self._rows
        pairs = [(name, seed) for name in self.design.names() for seed in self.seeds]
        return [known[pair] for pair in pairs if pair in known]

    @property
    def complete(self) -> bool:
        """Whether every row is there."""
        return len(self.rows) == len(self.design.cells) * len(self.seeds)

    def resolved(self) -> dict[str, Condition]:
        """Conditions by name, resolved to values.

        Raises:
            ConfigError: A combination of levels stands for no condition.
        """
        if self._conditions is None:
            self._conditions = conditions_of(self.design)
        return self._conditions

    def find(self, condition: str | Mapping[str, Any]) -> str:
        """Name of the one condition that has these levels, or this name.

        Raises:
            ConfigError: None has, or several have.
        """
        return self.design.find(condition)

    def frame(self) -> pd.DataFrame:
        """One line an episode, typed; columns and units in `experiments.study.schema`."""
        import pandas as pd

        frame = data_frame(self.rows, self._levels())
        for name, levels in {**self.factors, "condition": self.design.names()}.items():
            ordered = name != "condition"
            frame[name] = pd.Categorical(frame[name], categories=levels, ordered=ordered)
        return frame

    # ---------------------------------------------------------------- running and keeping
    def run(
        self,
        folder: str | Path | None = None,
        *,
        workers: int = 1,
        engine: str = "pool",
        address: str | None = None,
        ticks: bool = False,
        until: str | None = None,
        most_seeds: int = MOST_SEEDS,
        name: str | None = None,
    ) -> Study:
        """Runs what is missing; what is finished is on disk, whatever ends the run.

        Args:
            folder: Where rows are kept; a folder of this study is continued. By default the one it
                was loaded from, or a new one in ``out``.
            workers: Processes; the results do not depend on it. A script starts several of them
                below ``if __name__ == "__main__":`` only.
            engine: ``pool`` (processes of this machine) or ``ray``.
            address: Of a Ray cluster; by default one is started on this machine.
            ticks: Keep tick logs.
            until: Add seeds until intervals are this narrow, e.g. ``±3 points``, ``±0.5 s`` or
                ``±3 points paired``; table, effects and report then carry confidence sequences.
            most_seeds: Bound on them.
            name: Beginning of a new folder's name; by default ``study_TASK``.

        Returns:
            The study itself.
        """
        if until is not None:
            how = {"workers": workers, "engine": engine, "address": address, "ticks": ticks}
            how |= {"name": name}
            return run_until(self, until, most_seeds, folder, **how)
        conditions = self.resolved()
        card = study_card(self.design, conditions)
        with engine_of(engine, workers, address) as runner:
            folder = folder or self.folder or fresh_folder("out", name or f"study_{self.task}")
            place = StudyFolder(folder, card)
            self.folder, self._card = place.path, card
            try:
                with place:
                    run_study(self.design, conditions, place, runner, ticks)
            finally:
                self._rows = dict(place.rows)
        freeze(place.path, self.design, self.rows, self._levels(), card)
        return self

    @classmethod
    def load(cls, folder: str | Path) -> Study:
        """The study of a folder, finished or not; `run` continues it.

        Raises:
            DatasetError: The folder is damaged.
            ConfigError: It is no study's.
        """
        folder = Path(folder)
        if not (folder / CARD).is_file():
            raise ConfigError(f"study {folder}: expected a folder with a {CARD}, found none")
        card = read_run_card(folder / CARD)
        study = cls.__new__(cls)
        study.design = Design.from_json(card["config"]["design"], card["seeds"])
        study.folder, study._card = folder, card
        study._rows, study._conditions = read_rows(folder), None
        return study

    def __or__(self, other: Study) -> Study:
        """Both studies as one; equal protocols only.

        Raises:
            ConfigError: They share no protocol, or contradict each other in an episode.
        """
        for study in (self, other):
            if study.card is None:
                raise ConfigError("studies: expected two that have been run; run them first")
        mine, yours = self.design, other.design
        facts = [
            ("what is fixed", dict(mine.fixed), dict(yours.fixed)),
            ("factors", list(mine.factors), list(yours.factors)),
            ("cluster", mine.cluster, yours.cluster),
            *(
                (f"version of {name}", _version(self, name), _version(other, name))
                for name in FIXED_VERSIONS
            ),
        ]
        for what, first, second in facts:
            if first != second:
                raise ConfigError(f"studies: expected one protocol, got {what} {first} | {second}")
        joined = Study.__new__(Study)
        joined.design = _joined(mine, yours)
        joined.folder, joined._conditions = None, None
        joined._card = self._card
        for key, row in other._rows.items():
            mine_too = self._rows.get(key, row)
            if any(mine_too[name] != row[name] for name in ("digest", "twin_digest")):
                raise ConfigError(f"studies: expected equal rows of {key}, got two different ones")
        joined._rows = {**other._rows, **self._rows}
        return joined

    def _levels(self) -> dict[str, dict[str, str]]:
        """Factor -> condition -> level."""
        cells = self.conditions
        return {name: {cell: cells[cell][name] for cell in cells} for name in self.factors}


def _version(study: Study, name: str) -> Any:
    return (study.card or {})["versions"].get(name)


def _joined(mine: Design, yours: Design) -> Design:
    factors = {}
    for name, levels in mine.factors.items():
        for text, settings in yours.factors[name].items():
            if text in levels and dict(levels[text]) != dict(settings):
                raise ConfigError(f"studies: expected one meaning of {name}={text}, got two")
        factors[name] = {**levels, **yours.factors[name]}
    cells = [*mine.cells, *(cell for cell in yours.cells if cell not in mine.cells)]
    excluded = [e for e in (*mine.excluded, *yours.excluded) if e.levels not in cells]
    seeds = dict.fromkeys((*mine.seeds, *yours.seeds))
    return replace(
        mine, factors=factors, cells=tuple(cells), excluded=tuple(excluded), seeds=tuple(seeds)
    )
