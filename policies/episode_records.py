"""Results, tick logs and figures of the episodes that a Gym policy plays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xr0_sim.metrics.episode import episode_metrics
from xr0_sim.record.ticklog import TickLog, TickTable
from xr0_sim.runtime.episode_ports import EpisodeResult


@dataclass(frozen=True)
class EpisodeRecord:
    """One episode.

    Attributes:
        lane: Number of its environment.
        result: Outcome, duration, events.
        ticks: Its tick log.
    """

    lane: int
    result: EpisodeResult
    ticks: TickTable

    def figures(self, pieces: str | None = None) -> dict[str, bool | float | int | None]:
        """`xr0_sim.metrics.episode.episode_metrics` of this episode."""
        return episode_metrics(
            self.result, self.ticks.columns, self.ticks.meta["control_hz"], pieces
        )


class EpisodeRecords:
    """Collects every episode of every environment; give `lane` to a policy as ``subscribers``.

    ::

        records = EpisodeRecords()
        policy = ChunkPolicy(model, subscribers=records.lane)
        evaluate_policy(policy, policy.watch(env))
        records.episodes[0].ticks.digest()
    """

    def __init__(self) -> None:
        self.episodes: list[EpisodeRecord] = []

    def lane(self, number: int) -> tuple[TickLog, ...]:
        """Subscribers of one environment."""
        return (_LaneLog(number, self.episodes),)

    def figures(self, pieces: str | None = None) -> list[Mapping[str, Any]]:
        """Figure rows for `xr0_sim.metrics.summary.summarise`, in the order of their ends."""
        return [record.figures(pieces) for record in self.episodes]


class _LaneLog(TickLog):
    def __init__(self, lane: int, episodes: list[EpisodeRecord]) -> None:
        super().__init__()
        self._lane, self._episodes = lane, episodes

    def on_end(self, result: EpisodeResult) -> None:
        """Keeps the episode."""
        super().on_end(result)
        self._episodes.append(EpisodeRecord(self._lane, result, self.table()))
