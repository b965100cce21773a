"""What a study says: its table, effects, picture and page, from its frame alone."""

from __future__ import annotations

import abc
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from experiments.report.overview import Overview
    from experiments.report.study_table import StudyTable
    from experiments.runner.condition import Condition
    from experiments.runner.episode_rows import Row
    from experiments.study.effects import Effects
    from experiments.study.halfway import Halfway
    from experiments.study.latency_limit import LatencyLimit
    from experiments.study.mean_drop import MeanDrop
    from xr0_sim.record import TickTable

_log = logging.getLogger(__name__)

BOOTSTRAP_SEED = 0
"""Seed of the cluster bootstrap where no generator is passed: equal rows, equal intervals."""
USUAL_TIMELINES = 6


class Analysis(abc.ABC):
    """Statistics of a `Study`; it offers the facts named below, this class what they say.

    All of them take ``outcomes`` (columns of the frame; by default all that are known),
    ``limit_s`` (time limit of the restricted mean; by default the longest episode) and ``rng``
    (source of the cluster bootstrap over trainings).
    """

    folder: Path | None

    @property
    @abc.abstractmethod
    def factors(self) -> dict[str, list[str]]:
        """Factor -> texts of its levels, in order."""

    @property
    @abc.abstractmethod
    def reference(self) -> dict[str, str]:
        """Factor -> level that the others are compared with."""

    @property
    @abc.abstractmethod
    def cluster(self) -> str | None:
        """Factor whose levels are a sample."""

    @property
    @abc.abstractmethod
    def latencies(self) -> dict[str, dict[str, float]]:
        """Factors whose levels are latencies -> level -> its mean [s]."""

    @property
    @abc.abstractmethod
    def excluded(self) -> list[dict[str, Any]]:
        """Combinations that are not run, with the reason."""

    @property
    @abc.abstractmethod
    def task(self) -> str:
        """Name of the task."""

    @property
    @abc.abstractmethod
    def card(self) -> Mapping[str, Any] | None:
        """Versions, commit, digests of weights and the like; None before the first run."""

    @property
    @abc.abstractmethod
    def rows(self) -> list[Row]:
        """Rows by condition and seed."""

    @property
    def sequential(self) -> bool:
        """Whether its number of seeds was chosen by looking, see `experiments.study.until`."""
        from experiments.study.until import UNTIL

        return self.folder is not None and (self.folder / UNTIL).is_file()

    @abc.abstractmethod
    def resolved(self) -> dict[str, Condition]:
        """Conditions by name."""

    @abc.abstractmethod
    def frame(self) -> pd.DataFrame:
        """One line an episode."""

    @abc.abstractmethod
    def find(self, condition: str | Mapping[str, Any]) -> str:
        """Name of the one condition that has these levels."""

    def log(
        self, condition: str | Mapping[str, Any], seed: int, *, twin: bool = False
    ) -> TickTable:
        """Tick log of an episode, or of its undisturbed twin, of a study run with ``ticks=True``.

        Args:
            condition: Its name, or factor -> level, as many as tell it apart.
            seed: Seed.
            twin: The twin's instead.
        """
        from experiments.study.episodes import episode_log

        return episode_log(self, self.find(condition), seed, twin=twin)

    def film(
        self,
        condition: str | Mapping[str, Any],
        seed: int,
        folder: str | Path | None = None,
        *,
        camera: str = "scene",
        size: str | None = None,
        fps: int | None = None,
        insets: bool = True,
    ) -> Path:
        """Runs an episode again for a film, and says if it came out otherwise than its row.

        Args:
            condition: Its name, or factor -> level, as many as tell it apart.
            seed: Seed.
            folder: Where the film goes, into ``videos``; by default the study's folder.
            camera: ``scene`` (the whole table), ``base``, ``left_wrist`` or ``right_wrist``.
            size: ``WIDTHxHEIGHT`` [px]; by default the environment's own.
            fps: Frames per second, a divisor of the control rate; the film plays in real time. By
                default 15, or the next lower that divides it.
            insets: Show the wrist views in the corners of a film of the scene.

        Returns:
            The film; one that is there and has no option of its own is not made again.
        """
        from experiments.runner.film_options import film_options
        from experiments.study.episodes import film_episode

        where = Path(folder) if folder is not None else self.folder or Path("out")
        name = self.find(condition)
        hz = self.resolved()[name].control_hz
        film = film_options(fps, camera, size, insets=insets, control_hz=hz)
        return film_episode(self, name, seed, where, film)

    def table(self, outcomes: Sequence[str] | None = None, **options: Any) -> StudyTable:
        """Every condition with its estimates, 95 % intervals, n and invalid episodes.

        ``print(study.table())``, or ``.save("table.tex")``, ``.csv``, ``.md``, ``.txt``.
        """
        from experiments.report.study_table import study_table

        return study_table(*self._told(), outcomes=outcomes, **self._options(options))

    def effects(
        self,
        outcomes: Sequence[str] | None = None,
        kinds: Sequence[str] = ("main", "simple", "interaction"),
        **options: Any,
    ) -> Effects:
        """Paired differences of every level to its reference, and how factors go together.

        ``study.effects().sentences()`` says in words what is resolved and what is not,
        ``.frame()`` gives one row a comparison.
        """
        from experiments.study.effects import study_effects

        told = self._options(options)
        return study_effects(*self._told(), outcomes=outcomes, kinds=kinds, **told)

    def latency_limits(self, points: float = 10.0, **options: Any) -> list[LatencyLimit]:
        """L_max: the largest latency that costs at most ``points`` of success, with its bound.

        Averaged over all contexts first, then in each context of the other factors; each prints as
        a sentence, see `experiments.study.latency_limit`. Empty without a factor of latencies that
        has a level of zero.
        """
        from experiments.study.latency_limit import latency_limits

        frame, factors, reference = self._told()
        told = {"points": points, "reference": reference, **self._options(options)}
        return [
            limit
            for factor, seconds in self.latencies.items()
            if 0.0 in seconds.values() and factor != self.cluster
            for limit in latency_limits(frame, factors, seconds, factor=factor, **told)
        ]

    def overview(self, by: str, *, points: float = 10.0, limit_s: float | None = None) -> Overview:
        """One line per level of a factor: success across latencies, then averages over contexts.

        The averages are over contexts that all levels share, with Student's intervals over seeds;
        see `experiments.report.overview`.

        Args:
            by: The factor, e.g. ``strategy``.
            points: Allowed loss of L_max [points].
            limit_s: Time limit of the restricted mean [s].
        """
        from experiments.report.overview import overview

        frame, factors, _ = self._told()
        return overview(
            frame,
            factors,
            by,
            latencies=self.latencies,
            limits=self.latency_limits(points),
            limit_s=limit_s,
            cluster=self.cluster,
        )

    def halfway(self, factor: str, rng: np.random.Generator | None = None) -> list[Halfway]:
        """Where success falls below half along a quantity, e.g. the speed of a moving scene.

        One for every context of the other factors; each prints as a sentence, see
        `experiments.study.halfway`.

        Args:
            factor: Factor whose levels are quantities of one unit, such as ``5 cm/s``.
            rng: Source of the bootstrap over seeds.
        """
        from experiments.study.halfway import halfway

        frame, factors, _ = self._told()
        source = np.random.default_rng(BOOTSTRAP_SEED) if rng is None else rng
        return halfway(frame, factors, factor, source)

    def divergence(self, condition: str | Mapping[str, Any]) -> pd.DataFrame:
        """How far joint commands lie from the twins', by time since the event.

        Of a study run with ``ticks=True``; ``.plot("time_s", "median_rad")`` draws it.

        Args:
            condition: Its name, or factor -> level, as many as tell it apart.

        Returns:
            See `experiments.study.divergence.divergence_frame`.
        """
        from experiments.study.divergence import divergence, divergence_frame

        name = self.find(condition)
        rows = [row for row in self.rows if row["condition"] == name and row["valid"]]
        curves = []
        for row in rows:
            if row["events"]:
                logs = [self.log(name, row["seed"], twin=twin) for twin in (False, True)]
                tick = row["events"][0]["tick"]
                curves.append(divergence(logs[0]["action"], logs[1]["action"], tick))
        return divergence_frame(curves, self.resolved()[name].control_hz)

    def mean_drops(self) -> list[MeanDrop]:
        """What a scene change costs over all kinds of the factor ``event``, context by context.

        Each prints as a sentence, see `experiments.study.mean_drop`. Empty unless two kinds of
        event stand beside ``none``.
        """
        from experiments.study.mean_drop import mean_drops

        frame, factors, _ = self._told()
        return mean_drops(frame, factors, self.cluster)

    def table_at_equal_compute(
        self,
        outcomes: Sequence[str] | None = None,
        *,
        compared: str = "strategy",
        free: str = "strategy.execution_horizon",
        cost: str = "tflop_per_s",
        budget: float | None = None,
        **options: Any,
    ) -> StudyTable:
        """The table with one setting per level of a factor: the one that uses up the budget.

        Args:
            outcomes: Columns; by default the usual ones.
            compared: Factor whose levels are compared.
            free: Factor whose level is chosen, so that the compute rates are as close as can be.
            cost: Column of the compute rate: ``tflop_per_s``, or ``device_load``.
            budget: Rate that no condition exceeds by more than 5 %; by default the largest that
                every level reaches. What has no setting within is left out, with a warning.
            **options: ``limit_s``, ``rng``.
        """
        from experiments.report.study_table import study_table
        from experiments.study.matched_compute import match_compute

        frame, factors, _ = self._told()
        kept = match_compute(
            frame,
            factors,
            compared=compared,
            free=free,
            cost=cost,
            budget=budget,
            cluster=self.cluster,
        )
        for gone in kept.missing:
            _log.warning("equal compute: nothing within %.3g %s of %s", kept.budget, cost, gone)
        told = self._options(options)
        return study_table(kept.frame, kept.factors, outcomes=outcomes, **told)

    def plot(
        self,
        outcomes: Sequence[str] | None = None,
        *,
        x: str | None = None,
        colour: str | None = None,
        **options: Any,
    ) -> Figure:
        """Estimates with intervals: a column per outcome, a row per context.

        Args:
            outcomes: Columns; by default the usual five.
            x: Factor along the axes; by default a quantity, e.g. the latency.
            colour: Factor told by colour.
            **options: ``limit_s``, ``rng``.
        """
        from experiments.report.study_figure import study_figure

        told = self._options(options)
        return study_figure(*self._told(), outcomes=outcomes, x=x, colour=colour, **told)

    def report(
        self,
        path: str | Path | None = None,
        *,
        title: str | None = None,
        outcomes: Sequence[str] | None = None,
        films: int = 0,
        timelines: int = USUAL_TIMELINES,
        **options: Any,
    ) -> Path:
        """Writes one HTML file that needs no network; returns it.

        Args:
            path: The file; by default ``report.html`` in the study's folder.
            title: Heading.
            outcomes: Columns; by default all that are known.
            films: First failures that are run again for a film, which the page links.
            timelines: Most episodes whose tick logs are drawn, if logs were kept.
            **options: ``limit_s``, ``rng``.
        """
        from experiments.report.study_page import PageFacts, write_study_page
        from experiments.study.episodes import film_failures
        from experiments.study.page_facts import card_texts, chosen_timelines, task_text

        where = Path(path) if path is not None else (self.folder or Path("out")) / "report.html"
        frame, factors, reference = self._told()
        facts = PageFacts(
            title=title or f"{task_text(self.task)}: {' × '.join(factors)}",
            task=f"Task: {task_text(self.task)}",
            excluded=self.excluded,
            card=card_texts(self.card),
            timelines=chosen_timelines(self.folder, frame, timelines),
            films=film_failures(self, where.parent, films) if films else (),
            limits=[str(found) for found in (*self.latency_limits(), *self.mean_drops())],
        )
        told = self._options(options)
        return write_study_page(
            where, frame, factors, reference, facts=facts, outcomes=outcomes, **told
        )

    def _told(self) -> tuple[pd.DataFrame, dict[str, list[str]], dict[str, str]]:
        return self.frame(), self.factors, self.reference

    def _options(self, given: dict[str, Any]) -> dict[str, Any]:
        own = {"cluster": self.cluster, "sequential": self.sequential}
        return {**own, "rng": np.random.default_rng(BOOTSTRAP_SEED), **given}
