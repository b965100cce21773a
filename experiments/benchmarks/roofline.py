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
    import torch

    from xr0_sim.model.vla import XR0ForActionGeneration
    from xr0_sim.model.vlm.forward import VlmInputs

MATMUL_SIZE = 1024
STREAM_FLOATS = 32 * 2**20
BYTES_PER_WEIGHT = 4
CARD_MATMUL_SIZE = 8192
"""Fills a graphics card."""


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


def measure_machine(
    device: torch.device | None = None, dtype: torch.dtype | None = None
) -> Machine:
    """Best of a few large matrix products and of a few sums over a large array.

    Args:
        device: What is measured; the processor when None.
        dtype: Numbers of the products; float32 when None.
    """
    import torch

    card = device is not None and device.type == "cuda"
    size, count = (CARD_MATMUL_SIZE, 8 * STREAM_FLOATS) if card else (MATMUL_SIZE, STREAM_FLOATS)
    a = torch.randn(size, size, device=device).to(dtype or torch.float32)
    stream = torch.ones(count, device=device)
    clock = _card_seconds if card else _seconds
    matmul_s = min(clock(lambda: a @ a) for _ in range(10))
    read_s = min(clock(stream.sum) for _ in range(10))
    return Machine(2 * size**3 / matmul_s, 4 * count / read_s)


def lower_bound(
    model: XR0ForActionGeneration,
    inputs: VlmInputs,
    machine: Machine,
    weight_bytes: int = BYTES_PER_WEIGHT,
) -> NDArray[np.float64]:
    """Least time of one inference: its arithmetic, or one read of its weights.

    Args:
        model: The network.
        inputs: Prompts and pictures of B observations.
        machine: What it runs on.
        weight_bytes: Bytes of a weight.

    Returns:
        (2,) VLM and denoising [ms].
    """
    from xr0_sim.model.spec.flops import denoise_flops, encode_flops

    config = model.config
    frames, tokens = inputs.input_ids.shape
    grids = [group.grid for group in inputs.pictures for _ in range(len(group.patches) // frames)]
    seeing = frames * encode_flops(config, tokens, grids)
    acting = frames * denoise_flops(config, tokens)
    text, visual = model.vlm.model.language_model, model.vlm.model.visual
    steps = config.num_euler_steps
    read = [_size(text.layers) + _size(visual), steps * _size(model.expert.dit)]
    needs = []
    for flops, weights in zip((seeing, acting), read, strict=True):
        arithmetic = flops / machine.flops
        needs.append(1e3 * max(arithmetic, weights * weight_bytes / machine.bandwidth))
    return np.array(needs)


def _size(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _seconds(work: Callable[[], Any]) -> float:
    start = time.process_time_ns()
    work()
    return (time.process_time_ns() - start) / 1e9


def _card_seconds(work: Callable[[], Any]) -> float:
    import torch

    torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - start
