"""The limit of `bench_policy`: what a machine needs at least for one inference."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.benchmarks.report import Measure

if TYPE_CHECKING:
    from torch import Tensor

    from xr0_sim.model.policy_model import PolicyModel
    from xr0_sim.model.vlm.forward import VlmInputs

MATMUL_SIZE = 1024
STREAM_FLOATS = 32 * 2**20
BYTES_PER_WEIGHT = 4


@dataclass(frozen=True)
class Machine:
    """What this machine does at best.

    Attributes:
        flops: Floating point operations per second of a large matrix product.
        bandwidth: Bytes read per second from memory.
    """

    flops: float
    bandwidth: float

    def measures(self) -> list[Measure]:
        """For the report."""
        return [
            Measure("matmul_gflops", f"matmul of {MATMUL_SIZE}²", self.flops / 1e9, "GFLOP/s"),
            Measure("bandwidth_gb_s", "memory read", self.bandwidth / 1e9, "GB/s"),
        ]


def measure_machine() -> Machine:
    """Best of a few large matrix products and of a few sums over a large array."""
    import torch

    a = torch.randn(MATMUL_SIZE, MATMUL_SIZE)
    stream = torch.ones(STREAM_FLOATS)
    matmul_s = min(_seconds(lambda: a @ a) for _ in range(10))
    read_s = min(_seconds(stream.sum) for _ in range(10))
    return Machine(2 * MATMUL_SIZE**3 / matmul_s, 4 * STREAM_FLOATS / read_s)


def lower_bound(
    policy: PolicyModel, inputs: VlmInputs, state: Tensor, noise: Tensor, machine: Machine
) -> NDArray[np.float64]:
    """Least time of one inference in float32: its arithmetic, or one read of its weights.

    Args:
        policy: The network.
        inputs: Prompts and pictures of B observations.
        state: (B, 32).
        noise: (B, T, 32).
        machine: What it runs on.

    Returns:
        (2,) VLM and denoising [ms].
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from xr0_sim.model.action_expert.flow import euler_sample

    model = policy.model
    none = torch.zeros(len(state), dtype=torch.long)
    steps = policy.config.num_euler_steps
    with torch.no_grad(), FlopCounterMode(display=False) as seeing:
        cache = model.encode(inputs)
    with FlopCounterMode(display=False) as acting:
        euler_sample(model.expert, cache, state, noise, none, noise, steps)
    text, visual = model.vlm.model.language_model, model.vlm.model.visual
    read = [_size(text.layers) + _size(visual), steps * _size(model.expert.dit)]
    needs = []
    for counter, weights in zip((seeing, acting), read, strict=True):
        arithmetic = counter.get_total_flops() / machine.flops
        needs.append(1e3 * max(arithmetic, weights * BYTES_PER_WEIGHT / machine.bandwidth))
    return np.array(needs)


def _size(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _seconds(work: Callable[[], Any]) -> float:
    start = time.process_time_ns()
    work()
    return (time.process_time_ns() - start) / 1e9
