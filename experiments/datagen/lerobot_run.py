"""The episodes of a run folder, to be exported as a LeRobotDataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.tasks import make_env, register_events
from experiments.datagen.lerobot_episode import export_episode
from experiments.runner.condition import Condition
from experiments.runner.episode_rows import Row, log_path
from xr0_sim.data.lerobot import layout
from xr0_sim.record.runcard import to_json
from xr0_sim.record.ticklog import read_ticklog


@dataclass(frozen=True)
class RunSource:
    """What is exported of a run.

    Attributes:
        folder: Run folder.
        card: Its run card.
        condition: Condition of its episodes.
        rows: Episodes to export, in order.
        image_size: Side of the pictures [px]; None for the world's.
    """

    folder: Path
    card: Mapping[str, Any]
    condition: Condition
    rows: Sequence[Row]
    image_size: int | None

    @property
    def columns(self) -> layout.Columns:
        """Columns of the set."""
        return layout.run_columns()

    @property
    def episodes(self) -> list[str]:
        """Folder name of each episode, in order."""
        return [_name(row) for row in self.rows]

    def told(self) -> dict[str, Any]:
        """Identity of the set, JSON values."""
        return {
            "config": to_json(self.condition),
            "versions": self.card.get("versions"),
            "image_size": self.image_size,
            "episodes": [{"seed": row["seed"], "digest": row["digest"]} for row in self.rows],
        }

    def record(self, scratch: Path, say: Callable[[str], None]) -> int:
        """Stores the episodes that are missing; returns the side of the pictures [px]."""
        condition = self.condition
        register_events(condition.env)
        env = make_env(condition.env, image_size=self.image_size, **condition.env_kwargs)
        try:
            for number, row in enumerate(self.rows, start=1):
                folder, seed = scratch / _name(row), int(row["seed"])
                if not folder.is_dir():
                    table = read_ticklog(log_path(self.folder, seed))
                    facts = {"seed": seed, "outcome": row["outcome"], "digest": row["digest"]}
                    export_episode(env, seed, condition.events, table, facts, folder)
                say(f"{number}/{len(self.rows)} seed {seed}: {row['outcome']}")
            return env.image_size
        finally:
            env.close()


def _name(row: Row) -> str:
    return f"episode-{int(row['seed']):06d}"
