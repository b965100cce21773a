"""How often an agent does a stage, on seeds of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from policies.rl.agent import Agent
from policies.rl.staged_env import StagedBlocks
from policies.rl.stages import STAGES


def evaluate(
    agent: Agent,
    env: StagedBlocks,
    seeds: Iterable[int],
    tell: Callable[[dict[str, Any]], None] = lambda row: None,
) -> list[dict[str, Any]]:
    """One row per episode: seed, success, stages reached, clutches all open, decisions, return.

    Args:
        agent: Decides without exploration.
        env: The stage.
        seeds: Of the episodes.
        tell: Takes every row as it comes.
    """
    rows = []
    for seed in seeds:
        features, _ = env.reset(seed=seed)
        total, decisions, over = 0.0, 0, False
        done = dict.fromkeys(STAGES, False)
        info: dict[str, Any] = {}
        while not over:
            features, reward, terminated, truncated, info = env.step(agent.decide(features))
            total += reward
            decisions += 1
            over = terminated or truncated
            done = {name: done[name] or reached for name, reached in info["stages"].items()}
        row = {
            "seed": seed,
            "success": bool(info["is_success"]),
            "return": round(total, 3),
            "decisions": decisions,
            **done,
            "apart": "attached" not in info["bricks"],
        }
        tell(row)
        rows.append(row)
    return rows
