"""The XR-0 checkpoint as a Gymnasium policy."""

from __future__ import annotations

from pathlib import Path

from policies.chunk_policy import ChunkPolicy
from policies.xr0.checkpoints import find_checkpoint
from policies.xr0.execution import execution_horizon_for
from xr0_sim.model.compute.devices import DEFAULT_DEVICE
from xr0_sim.model.compute.precision import DEFAULT_PRECISION, STORED_WEIGHTS
from xr0_sim.runtime.latency.base import LatencyModel
from xr0_sim.runtime.strategies.base import Strategy
from xr0_sim.runtime.strategies.sync import Sync


class XR0Policy(ChunkPolicy):
    """The shipped XR-0 checkpoint as a Gymnasium policy.

    Args:
        checkpoint: Shipped name or directory; None takes the first shipped one by name,
            ``block_dismantling``.
        head: Action expert.
        strategy: Execution strategy; synchronous by default, with as many rows a chunk as suit
            the checkpoint (`policies.xr0.execution`).
        latency: True inference latency; none by default.
        seed: See `ChunkPolicy`.
        first_env: See `ChunkPolicy`.
        batched: See `ChunkPolicy`.
        temperature: Factor 0 .. 1 on the flow noise; None for the default of
            `policies.xr0.chunk_model`.
        precision: Number format of the network, one of
            `xr0_sim.model.compute.precision.PRECISIONS`.
        device: Where the network runs, see `xr0_sim.model.compute.devices`.
        vlm_weights: How the VLM's weights are kept, see `xr0_sim.model.compute.weight_only`.
        compile: Compile the Euler step; needs a C++ compiler, pays for large action experts.
    """

    def __init__(
        self,
        checkpoint: str | Path | None = None,
        head: str = "sync",
        strategy: Strategy | None = None,
        latency: LatencyModel | None = None,
        seed: int = 0,
        first_env: int = 0,
        batched: bool = False,
        temperature: float | None = None,
        precision: str = DEFAULT_PRECISION,
        device: str = DEFAULT_DEVICE,
        vlm_weights: str = STORED_WEIGHTS,
        compile: bool = False,
    ):
        from policies.xr0.chunk_model import DEFAULT_TEMPERATURE, load_chunk_model

        temperature = DEFAULT_TEMPERATURE if temperature is None else temperature
        path = find_checkpoint(checkpoint)
        model = load_chunk_model(
            path,
            head,
            temperature=temperature,
            precision=precision,
            device=device,
            vlm_weights=vlm_weights,
            compile=compile,
        )
        strategy = strategy or Sync(execution_horizon_for(path.name))
        super().__init__(model, strategy, latency, seed, first_env, batched)
