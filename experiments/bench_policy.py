"""``xr0-sim bench policy``: one inference, against a naive forward and the machine's own limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.bench_report import Measure, report
from experiments.machine_limit import lower_bound, measure_machine
from xr0_sim.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    from torch import Tensor

    from xr0_sim.model.brain import BrainInputs
    from xr0_sim.model.policy_model import PolicyModel

DENOISE_TARGET, CHUNK_TARGET = 2.0, 1.5
"""Speed against the naive forward that the ``tiny`` preset is held to."""
DEVIATION_TARGET = 1e-5
BOUND_TARGET, REDUCED_TARGET = 1.35, 3.5
"""Distance to the arithmetic limit in float32, and speed against the naive forward in the best
reduced number format, that the ``small`` preset is held to: its action expert is 12 x 512."""
FULL = ("eager", "compiled")
"""Ways in float32; the others are reduced."""
INSTRUCTION = "take the blocks apart, red and yellow into the left bin, blue into the right bin"


@dataclass(frozen=True)
class BenchPolicyConfig:
    """Times one chunk of a randomly weighted model on the CPU, taking turns with a naive forward.

    Attributes:
        preset: Model size.
        batches: Observations per inference, with commas; the targets are held to the first.
        repeats: How often everything is timed.
        threads: Threads of the matrix products.
        no_compile: Leave the compiled path out.
        seed: Seed of weights and inputs.
        json: Print one JSON object.
    """

    preset: str = "tiny"
    batches: str = "1,4,16"
    repeats: int = 30
    threads: int = 1
    no_compile: bool = False
    seed: int = 0
    json: bool = False


@dataclass(frozen=True)
class Setting:
    """One batch: network inputs, and what a perfect machine would need for them.

    Attributes:
        inputs: Prompts and pictures.
        state: (B, 32).
        noise: (B, T, 32).
    """

    inputs: BrainInputs
    state: Tensor
    noise: Tensor


def run(config: BenchPolicyConfig) -> int:
    """Measures and prints; exit status 0 also if a target is missed."""
    import torch

    from xr0_sim.model.policy_model import random_policy_model
    from xr0_sim.model.presets import PRESETS, preset_config

    batches = _batches(config.batches)
    if config.preset not in PRESETS:
        raise unknown_name("model preset", config.preset, PRESETS)
    if config.repeats < 2 or config.threads < 1:
        raise ConfigError("--repeats, --threads: expected at least 2 and 1")
    torch.set_num_threads(config.threads)
    policy = random_policy_model(preset_config(config.preset, action_window=4), config.seed)
    machine = measure_machine()
    rows, measures = [], []
    for batch in batches:
        setting = make_setting(policy, batch, config.seed)
        ways = make_ways(policy, setting, compiled=not config.no_compile)
        deviations = deviations_of(ways)
        times = time_ways(ways, config.repeats)
        bound = lower_bound(policy, setting.inputs, setting.state, setting.noise, machine)
        rows += table(batch, times, bound, deviations)
        if not measures:
            measures = headline(times, bound, deviations, config.preset)
    report(
        f"{config.preset} preset, {config.threads} thread(s), CPU time",
        [*measures, *machine.measures()],
        as_json=config.json,
        config=config,
        tables={"one inference": rows},
    )
    return 0


# -------------------------------------------------------------------------------- what is timed
def make_setting(policy: PolicyModel, batch: int, seed: int) -> Setting:
    """Random pictures, one instruction, random state and noise."""
    import torch

    config = policy.config
    rng = np.random.default_rng(seed)
    shape = (batch, len(policy.processor.cameras), config.image_size, config.image_size, 3)
    images = rng.integers(0, 256, shape, dtype=np.uint8)
    generator = torch.Generator().manual_seed(seed)
    chunk = (batch, config.action_length, config.action_dim)
    noise = torch.randn(chunk, generator=generator) * policy.model.expert.action_valid
    state = torch.randn(batch, config.state_dim, generator=generator)
    return Setting(policy.processor(images, [INSTRUCTION] * batch), state, noise)


Ways = Mapping[str, tuple[Callable[[], Any], Callable[[Any], "Tensor"]]]
"""Name -> (fill the cache, denoise a chunk from it)."""


def make_ways(policy: PolicyModel, setting: Setting, compiled: bool) -> Ways:
    """The naive forward and ours, on the same weights and the same batch.

    Ours runs in float32 and in the reduced formats that this processor offers; the fastest of them
    is compiled too.
    """
    import torch

    from experiments.naive_xr0 import naive_denoise, naive_encode
    from xr0_sim.model.fast_flow import FlowSampler
    from xr0_sim.model.precision import REDUCED, cpu_features

    model = policy.model
    none = torch.zeros(len(setting.state), dtype=torch.long)

    def encode() -> Any:
        with torch.no_grad():
            return model.encode(setting.inputs)

    def ours(precision: str, compile: bool = False) -> tuple[Callable, Callable]:
        steps = policy.config.num_euler_steps
        sampler = FlowSampler(model.expert, steps, compile, precision)
        chunk = (setting.state, setting.noise, none, setting.noise)
        return encode, lambda cache: sampler(cache, *chunk)

    ways: dict[str, Any] = {
        "naive": (
            lambda: naive_encode(model, setting.inputs),
            lambda entries: naive_denoise(
                model, entries, setting.inputs, setting.state, setting.noise
            ),
        ),
        "eager": ours("float32"),
    }
    reduced = [name for name in REDUCED if cpu_features().offers(name)]
    if compiled:
        ways["compiled"] = ours("float32", compile=True)
    ways |= {name: ours(name) for name in reduced}
    if compiled and reduced:
        ways[f"{reduced[0]} compiled"] = ours(reduced[0], compile=True)
    return ways


@dataclass(frozen=True)
class Deviation:
    """How far a chunk is from the naive one, in normalised actions.

    Attributes:
        largest: Of all entries.
        rms: Root of the mean square.
    """

    largest: float
    rms: float


def deviations_of(ways: Ways) -> dict[str, Deviation]:
    """Deviation of every way; also warms everything up."""
    chunks = {name: denoise(encode()) for name, (encode, denoise) in ways.items()}
    apart = {name: chunk - chunks["naive"] for name, chunk in chunks.items()}
    return {
        name: Deviation(float(gap.abs().max()), float(gap.square().mean().sqrt()))
        for name, gap in apart.items()
    }


def time_ways(ways: Ways, repeats: int) -> dict[str, NDArray[np.float64]]:
    """Per way (repeats, 2): CPU time of brain and of denoising [ms]; the ways take turns."""
    times = {name: np.empty((repeats, 2)) for name in ways}
    for repeat in range(repeats):
        for name, (encode, denoise) in ways.items():
            start = time.process_time_ns()
            cache = encode()
            middle = time.process_time_ns()
            denoise(cache)
            end = time.process_time_ns()
            times[name][repeat] = np.array([middle - start, end - middle]) / 1e6
    return times


# -------------------------------------------------------------------------------- report
def headline(
    times: Mapping[str, NDArray[np.float64]],
    bound: NDArray[np.float64],
    deviations: Mapping[str, Deviation],
    preset: str,
) -> list[Measure]:
    """Speed of our best ways against the naive forward, and the distance to the bound."""
    tiny, small = preset == "tiny", preset == "small"
    naive = times["naive"]
    full = _fastest(times, [name for name in times if name in FULL])
    measures = [
        _speedup(
            "denoise_speedup",
            f"denoising, naive / {full}",
            naive[:, 1] / times[full][:, 1],
            DENOISE_TARGET if tiny else None,
        ),
        _speedup(
            "chunk_speedup",
            f"whole chunk, naive / {full}",
            naive.sum(1) / times[full].sum(1),
            CHUNK_TARGET if tiny else None,
        ),
        Measure(
            "deviation",
            "largest deviation",
            max(deviations[name].largest for name in times if name in FULL),
            target=DEVIATION_TARGET,
        ),
        Measure(
            "denoise_over_bound",
            f"denoising, {full} / lower bound",
            float(np.median(times[full][:, 1])) / float(bound[1]),
            target=BOUND_TARGET if small else None,
        ),
    ]
    others = [name for name in times if name not in (*FULL, "naive")]
    if not others:
        return measures
    reduced = _fastest(times, others)
    return [
        *measures,
        _speedup(
            "reduced_speedup",
            f"denoising, naive / {reduced}",
            naive[:, 1] / times[reduced][:, 1],
            REDUCED_TARGET if small else None,
        ),
        Measure("reduced_deviation_rms", f"{reduced}, RMS deviation", deviations[reduced].rms),
        Measure(
            "reduced_deviation_max", f"{reduced}, largest deviation", deviations[reduced].largest
        ),
    ]


def _fastest(times: Mapping[str, NDArray[np.float64]], names: list[str]) -> str:
    return min(names, key=lambda name: np.median(times[name][:, 1]))


def _speedup(name: str, label: str, ratio: NDArray[np.float64], target: float | None) -> Measure:
    low, high = (float(value) for value in np.quantile(ratio, [0.05, 0.95]))
    middle = float(np.median(ratio))
    n = len(ratio)
    return Measure(name, label, middle, low=low, high=high, n=n, target=target, sense="at least")


def table(
    batch: int,
    times: Mapping[str, NDArray[np.float64]],
    bound: NDArray[np.float64],
    deviations: Mapping[str, Deviation],
) -> list[dict[str, Any]]:
    """A line per way, and one for the bound."""
    rows = []
    for name, measured in times.items():
        whole = measured.sum(1)
        brain, denoise = np.median(measured, axis=0)
        rows.append(
            {
                "batch": batch,
                "way": name,
                "brain ms": float(brain),
                "denoise ms": float(denoise),
                "chunk ms": float(np.median(whole)),
                "p95 ms": float(np.quantile(whole, 0.95)),
                "denoise share": float(denoise / (brain + denoise)),
                "deviation": deviations[name].largest,
                "RMS": deviations[name].rms,
            }
        )
    rows.append(
        {
            "batch": batch,
            "way": "lower bound",
            "brain ms": float(bound[0]),
            "denoise ms": float(bound[1]),
            "chunk ms": float(bound.sum()),
            "p95 ms": "–",
            "denoise share": float(bound[1] / bound.sum()),
            "deviation": "–",
            "RMS": "–",
        }
    )
    return rows


def _batches(text: str) -> list[int]:
    try:
        batches = [int(word) for word in text.split(",")]
    except ValueError:
        batches = []
    if not batches or min(batches) < 1:
        raise ConfigError(f"--batches: expected numbers like 1,4,16, got {text!r}")
    return batches
