"""What the teacher decides on a stage, in episodes of its own and in those of an agent.

Half of the decisions are disturbed by noise, so that the data also shows what comes of others and
how to get back; the label of a situation is the teacher's undisturbed decision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from policies.rl.agent import Agent
from policies.rl.staged_env import StagedBlocks
from xr0_sim.atomic import write_bytes
from xr0_sim.errors import ConfigError

NOISE, NOISY_SHARE = 0.2, 0.5
"""Largest standard deviation of the noise, drawn per episode, and share of the decisions that have
it. Chosen: with 0.3 throughout the scripted expert did a fifth of the scenes."""


@dataclass(frozen=True)
class Demonstrations:
    """Transitions that the teacher has labelled, n of them.

    Attributes:
        features: (n, 69) what was seen.
        next_features: (n, 69) what was seen after.
        decisions: (n, 8) what was done.
        labels: (n, 8) what the teacher would have done.
        rewards: (n,).
        dones: (n,) whether the episode terminated there.
        success: (n,) whether the stage was done there.
    """

    features: NDArray[np.float32]
    next_features: NDArray[np.float32]
    decisions: NDArray[np.float32]
    labels: NDArray[np.float32]
    rewards: NDArray[np.float32]
    dones: NDArray[np.float32]
    success: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rewards)

    def save(self, path: Path) -> None:
        """Writes the file, whole or not at all."""
        write_bytes(path, save({name: np.ascontiguousarray(a) for name, a in asdict(self).items()}))


def load_demonstrations(path: Path) -> Demonstrations:
    """Reads what `Demonstrations.save` wrote.

    Raises:
        ConfigError: No such file, or another one.
    """
    try:
        arrays = load(path.read_bytes())
        return Demonstrations(**{f.name: arrays[f.name] for f in fields(Demonstrations)})
    except (OSError, SafetensorError, KeyError) as error:
        raise ConfigError(
            f"demonstrations {path}: expected a file of this command, got {error!r}; remove it"
        ) from None


def union(parts: Sequence[Demonstrations]) -> Demonstrations:
    """All transitions of several sets."""
    names = [f.name for f in fields(Demonstrations)]
    return Demonstrations(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})


def demonstrate(
    env: StagedBlocks,
    first_seed: int,
    episodes: int,
    rng: np.random.Generator,
    say: Callable[[str], None] = lambda line: None,
    agent: Agent | None = None,
) -> Demonstrations:
    """Plays the teacher, or an agent whom it only advises.

    Args:
        env: The stage.
        first_seed: Seed of the first episode; the others follow.
        episodes: How many.
        rng: Draws the noise.
        say: Takes a line now and then.
        agent: Who decides; None for the teacher.
    """
    rows: list[tuple] = []
    done_well = 0
    for number in range(episodes):
        seen, _ = env.reset(seed=first_seed + number)
        over, scale = False, NOISE * rng.random()
        while not over:
            label = env.controller.advice(env.situation)
            noise = scale * rng.standard_normal(label.shape) * (rng.random() < NOISY_SHARE)
            chosen = label if agent is None else agent.decide(seen)
            decision = np.clip(chosen + noise, -1.0, 1.0).astype(np.float32)
            after, reward, terminated, truncated, info = env.step(decision)
            rows.append(
                (seen, after, decision, label, reward, float(terminated), info["is_success"])
            )
            seen, over = after, terminated or truncated
        done_well += info["is_success"]
        if (number + 1) % 20 == 0:
            say(f"demonstrations: {number + 1}/{episodes}, {done_well} successful")
    columns = zip(*rows, strict=True)
    return Demonstrations(*(np.asarray(column, dtype=np.float32) for column in columns))
