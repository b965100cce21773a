"""One inference on a device in every way there is: kernel by kernel, compiled, in graphs.

Weights are random and made on the device, so that the published size needs no file; the prompt has
as many tokens as the published wording with three views. Everything is told against the plain
forward of the training code, with what the device could do at best.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.benchmarks.report import Measure
from experiments.benchmarks.roofline import lower_bound, measure_machine

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from xr0_sim.model.graphed import GraphedModel
    from xr0_sim.model.vla import XR0ForActionGeneration
    from xr0_sim.model.vlm.inputs import VlmInputs

TEXT_TOKENS = 61
"""Of the published wording with three views and a short instruction, pictures left out."""
VIEWS = 3
STD = 0.02
GIB = 2**30
GOALS = {
    "chunk ms": 14.5,
    "expert ms": 5.0,
    "peak GiB": 10.5,
}
"""Goals for the published size on an H100, set after a trial that reached them."""
BATCH_GOAL_MS = 120.0


GRAPHS = (
    ("graphs", False, False, False),
    ("graphs, fused attention", False, False, True),
    ("graphs, compiled step", True, False, False),
    ("graphs, compiled", True, True, False),
    ("graphs, compiled, fused attention", True, True, True),
)
"""Name, whether the Euler step is compiled, whether the VLM is, whether its attention is fused."""


@dataclass(frozen=True)
class Way:
    """One way to run an inference.

    Attributes:
        name: For the table.
        brain: Fills the cache; None where VLM and expert are one.
        expert: Denoises a chunk from it.
        whole: Both at once.
    """

    name: str
    brain: Callable[[], Any] | None = None
    expert: Callable[[Any], Tensor] | None = None
    whole: Callable[[], Tensor] | None = None

    def run(self) -> Tensor:
        """One chunk."""
        if self.whole is not None:
            return self.whole()
        assert self.brain is not None and self.expert is not None
        return self.expert(self.brain())


def random_model(preset: str, device: torch.device, seed: int) -> XR0ForActionGeneration:
    """A model of a preset with random weights made on a device; bfloat16 on a graphics card."""
    import torch

    from xr0_sim.model.checkpoints.released import meta_model
    from xr0_sim.model.spec.presets import preset_config

    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    model = meta_model(preset_config(preset, action_window=4)).to(dtype).to_empty(device=device)
    model.vlm.tie_head()
    generator = torch.Generator(device).manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1 and name.endswith("weight"):
                parameter.fill_(1.0)
            else:
                parameter.normal_(0.0, STD, generator=generator)
    return model.eval()


def random_inputs(model: XR0ForActionGeneration, frames: int, seed: int) -> VlmInputs:
    """Prompts of the published length with random pictures, on the processor."""
    import torch

    from xr0_sim.model.vlm.inputs import Pictures, VlmInputs
    from xr0_sim.model.vlm.prompt import mrope_positions

    config = model.config
    vision, image_id = config.vlm_config.vision_config, config.vlm_config.image_token_id
    side = config.image_size // vision.patch_size
    tokens = side // vision.spatial_merge_size
    rng = np.random.default_rng(seed)
    text = [3 + (7 * k) % 100 for k in range(TEXT_TOKENS)]
    text = [token + (token == image_id) for token in text]
    part = TEXT_TOKENS // (VIEWS + 1)
    ids: list[int] = []
    for view in range(VIEWS):
        ids += [*text[view * part : (view + 1) * part], *[image_id] * tokens**2]
    ids += text[VIEWS * part :]
    row = np.array(ids)
    positions = mrope_positions(row, image_id, [(tokens, tokens)] * VIEWS)
    places = np.concatenate([np.flatnonzero(row == image_id) + f * len(row) for f in range(frames)])
    values = 3 * vision.temporal_patch_size * vision.patch_size**2
    patches = rng.uniform(-1, 1, (frames * VIEWS, side * side, values)).astype(np.float32)
    return VlmInputs(
        torch.from_numpy(np.tile(row, (frames, 1))),
        torch.full((frames,), len(row)),
        torch.from_numpy(np.repeat(positions[:, None], frames, axis=1)),
        (Pictures(torch.from_numpy(patches), (side, side), torch.from_numpy(places)),),
    )


Request = tuple["Tensor", "Tensor", "Tensor", "Tensor"]


def random_request(model: XR0ForActionGeneration, frames: int, seed: int) -> Request:
    """State, empty prefix, its lengths and noise, on the processor."""
    import torch

    config = model.config
    generator = torch.Generator().manual_seed(seed)
    rows = (frames, config.action_length, config.action_dim)
    return (
        torch.randn(frames, config.state_dim, generator=generator),
        torch.zeros(rows),
        torch.zeros(frames, dtype=torch.long),
        torch.randn(rows, generator=generator),
    )


def ways_of(
    model: XR0ForActionGeneration, inputs: VlmInputs, request: Request, compiled: bool
) -> Iterator[Way]:
    """Every way in turn, slowest first; each is set up when it is reached."""
    from xr0_sim.model.action_expert.flow import euler_sample
    from xr0_sim.model.action_expert.sampler import FlowSampler
    from xr0_sim.model.graphed import GraphedModel
    from xr0_sim.model.vlm.forward import encode
    from xr0_sim.model.vlm.tables import brain_tables

    expert, config, device = model.expert, model.config, model.device
    steps, layers = config.num_euler_steps, config.dit_config.num_hidden_layers
    grids = [group.grid for group in inputs.pictures]
    explicit = brain_tables(model.vlm, inputs.input_ids.shape[1], grids, fused=False)
    placed = [tensor.to(device) for tensor in request]

    def brain() -> Any:
        return encode(model.vlm, inputs.to(device), layers, explicit)

    def plain(cache: Any) -> Tensor:
        state, prefix, lengths, noise = placed
        return euler_sample(expert, cache, state, prefix, lengths, noise, steps)

    yield Way("training forward", brain, plain)
    for name, compiled_step in (("prepared expert", False), ("compiled step", True)):
        if compiled or not compiled_step:
            # Each way has a sampler of its own, which holds a copy of the expert's weights.
            alone = FlowSampler(expert, steps, compile=compiled_step)
            yield Way(name, brain, _denoising(alone, placed))
            del alone
    for name, compiled_step, compiled_brain, fused in GRAPHS:
        if (compiled_step or compiled_brain) and not compiled:
            continue
        sampler = FlowSampler(expert, steps, compile=compiled_step)
        graphed = GraphedModel(model, sampler, compile=compiled_brain, fused=fused)
        yield Way(name, partial(graphed.encode, inputs), _denoising(graphed.denoise, request))
        yield Way(f"{name}, one", whole=partial(_whole, graphed, inputs, request))


def _denoising(loop: Callable[..., Tensor], request: Sequence[Tensor]) -> Callable[[Any], Tensor]:
    return lambda cache: loop(cache, *request)


def _whole(graphed: GraphedModel, inputs: VlmInputs, request: Request) -> Tensor:
    return graphed.chunk(inputs, *request)[0]


@contextmanager
def peak_memory(device: torch.device) -> Iterator[list[float]]:
    """Collects the largest memory of a graphics card inside the block [GiB]; NaN elsewhere."""
    import torch

    found = [float("nan")]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    yield found
    if device.type == "cuda":
        found[0] = torch.cuda.max_memory_allocated(device) / GIB


def measure(
    model: XR0ForActionGeneration,
    frames: int,
    repeats: int,
    seed: int,
    compiled: bool,
) -> list[dict[str, Any]]:
    """A row per way: times of its parts, deviation from the first way, memory, bound."""
    import torch

    inputs, request = random_inputs(model, frames, seed), random_request(model, frames, seed)
    rows: list[dict[str, Any]] = []
    reference: Tensor | None = None
    with torch.no_grad():
        for way in ways_of(model, inputs, request, compiled):
            with peak_memory(model.device) as peak:
                start = time.perf_counter()
                chunk = way.run().float().cpu()
                ready_s = time.perf_counter() - start
                times = _times(way, model.device, repeats)
            reference = chunk if reference is None else reference
            gap = chunk - reference
            low, high = np.quantile(times.sum(1), [0.05, 0.95])
            apart = way.whole is None
            rows.append(
                {
                    "batch": frames,
                    "way": way.name,
                    "VLM ms": float(np.median(times[:, 0])) if apart else "–",
                    "expert ms": float(np.median(times[:, 1])) if apart else "–",
                    "chunk ms": float(np.median(times.sum(1))),
                    "p5 ms": float(low),
                    "p95 ms": float(high),
                    "n": repeats,
                    "deviation": float(gap.abs().max()),
                    "RMS": float(gap.square().mean().sqrt()),
                    "peak GiB": peak[0] if peak[0] == peak[0] else "–",
                    "ready s": ready_s,
                }
            )
    return rows


def _times(way: Way, device: torch.device, repeats: int) -> NDArray[np.float64]:
    """(repeats, 2) wall time of VLM and expert, or of the whole and nothing [ms]."""
    import torch

    def wait() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    found = np.zeros((repeats, 2))
    for repeat in range(repeats):
        start = wait()
        if way.whole is not None:
            way.whole()
            found[repeat, 0] = wait() - start
            continue
        assert way.brain is not None and way.expert is not None
        cache = way.brain()
        middle = wait()
        way.expert(cache)
        found[repeat] = middle - start, wait() - middle
    return 1e3 * found


def bound_row(model: XR0ForActionGeneration, frames: int, seed: int) -> dict[str, Any]:
    """What the device needs at least, by its own arithmetic and memory."""
    weight = next(model.parameters())
    machine = measure_machine(model.device, weight.dtype)
    inputs = random_inputs(model, frames, seed)
    bound = lower_bound(model, inputs, machine, weight.element_size())
    return {
        "batch": frames,
        "way": "lower bound",
        "VLM ms": float(bound[0]),
        "expert ms": float(bound[1]),
        "chunk ms": float(bound.sum()),
    }


def goals(rows: list[dict[str, Any]], goal: bool) -> list[Measure]:
    """The best of every figure, held to the goals of the published size where ``goal``."""
    graphs = [row for row in rows if row["way"].startswith("graphs")]
    first = graphs[0]["batch"]
    found = []
    for name, limit in GOALS.items():
        values = [r[name] for r in graphs if r["batch"] == first and isinstance(r[name], float)]
        if values:
            label = f"batch {first}, {name}, best of the graphs"
            key = name.replace(" ", "_")
            found.append(Measure(key, label, min(values), target=limit if goal else None))
    plain = rows[0]
    best = min(row["chunk ms"] for row in graphs if row["batch"] == first)
    found.append(
        Measure(
            "speed",
            f"{plain['way']} / best of the graphs",
            plain["chunk ms"] / best,
            n=plain["n"],
            sense="at least",
        )
    )
    if any(row["batch"] == 16 for row in graphs):
        many = min(row["chunk ms"] for row in graphs if row["batch"] == 16)
        words, most = "batch 16, best of the graphs", BATCH_GOAL_MS if goal else None
        found.append(Measure("batch16_ms", words, many, "ms", target=most))
    return found
