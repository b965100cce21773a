"""How a policy drives while data are collected: strategy, horizon and delay are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xr0_sim.runtime.executor import Executor
from xr0_sim.runtime.latency.models import Constant
from xr0_sim.runtime.strategies.naive_async import NaiveAsync
from xr0_sim.runtime.strategies.prefix_async import PrefixAsync
from xr0_sim.runtime.strategies.sync import Sync

if TYPE_CHECKING:
    import numpy as np

    from policies.xr0.chunk_model import XR0ChunkModel
    from xr0_sim.runtime.strategies.base import Strategy


def draw_executor(
    rng: np.random.Generator,
    models: dict[str, XR0ChunkModel],
    horizons: tuple[int, int],
    longest_delay: int,
    control_hz: float,
) -> Executor:
    """An executor of one of the heads, with a strategy that fits it.

    Args:
        rng: Draws head, horizon, delay and strategy, in this order.
        models: Head name -> model.
        horizons: Least and most rows that are executed of a chunk.
        longest_delay: Largest inference delay, drawn uniformly from 0 [ticks].
        control_hz: Control rate [Hz].
    """
    head = str(rng.choice(sorted(models)))
    execution_horizon = int(rng.integers(horizons[0], horizons[1] + 1))
    delay = int(rng.integers(0, longest_delay + 1))
    strategy: Strategy
    if models[head].prefix_max == 0:
        strategy = Sync(execution_horizon) if rng.random() < 0.5 else NaiveAsync(execution_horizon)
    else:
        strategy = PrefixAsync(execution_horizon)
    return Executor(models[head], strategy, Constant(delay / control_hz))
