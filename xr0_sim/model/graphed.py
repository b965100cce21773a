"""XR-0 in the same memory every time: VLM and action expert as captured graphs, apart and together.

```
    pictures, prompt ──> [ VLM graph ] ──> cache ──> [ expert graph ] ──> chunk      apart
    pictures, prompt, state, noise ──> [ ------- one graph ------- ] ──> chunk       together
```

Apart, a refresh replays the expert alone on an older cache. Each shape of batch has graphs of its
own; prompts are padded to a multiple of `BUCKET`, so that shapes recur. Without a graphics card, or
where a capture fails, the same code runs kernel by kernel.
"""

from __future__ import annotations

import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from xr0_sim.model.action_expert.sampler import FlowSampler
from xr0_sim.model.compute.graphs import StaticCall
from xr0_sim.model.vla import XR0ForActionGeneration
from xr0_sim.model.vlm.cache import VlmCache
from xr0_sim.model.vlm.forward import encode
from xr0_sim.model.vlm.inputs import Pictures, VlmInputs
from xr0_sim.model.vlm.tables import brain_tables

BUCKET = 16
"""Tokens that prompts are padded to a multiple of."""
MOST_SHAPES = 12
"""Graphs that are kept; the one that was not used for longest goes first."""


class GraphedModel:
    """`XR0ForActionGeneration.encode` and its Euler loop, in graphs.

    Args:
        model: The network; its weights are final.
        sampler: Its Euler loop.
        compile: Run the VLM's blocks and layers compiled.
        fused: Attend by the fused kernel in the VLM.

    Attributes:
        captures: Whether graphs are captured; else kernels start one by one.
        warm_ups: Wall time of every warm-up and capture so far, by what was captured [s].
    """

    def __init__(
        self,
        model: XR0ForActionGeneration,
        sampler: FlowSampler,
        compile: bool = False,
        fused: bool = True,
    ) -> None:
        self._model, self._sampler = model, sampler
        self._compile, self._fused = compile, fused
        self._calls: OrderedDict[Any, StaticCall[Any]] = OrderedDict()
        self.captures = model.device.type == "cuda"
        self.warm_ups: dict[str, float] = {}

    @torch.no_grad()
    def encode(self, inputs: VlmInputs) -> VlmCache:
        """What the VLM makes of a batch, in memory of the caller's own."""
        inputs = inputs.padded(BUCKET)
        named = _named_inputs(inputs)
        call = self._call(
            f"VLM, {_words(inputs)}", _shape(inputs), named, lambda: self._brain(inputs)
        )
        call.load(**named)
        return _copied(call.replay())

    @torch.no_grad()
    def denoise(
        self,
        cache: VlmCache,
        state: Tensor,
        prefix: Tensor,
        prefix_lengths: Tensor,
        noise: Tensor,
        action_mask: Tensor | None = None,
    ) -> Tensor:
        """See `FlowSampler.__call__`; the next call overwrites the answer."""
        named = _named_cache(cache) | _named_request(
            state, prefix, prefix_lengths, noise, action_mask
        )
        frames, length = cache.key_mask.shape
        call = self._call(
            f"action expert, {frames} x {length} tokens",
            (frames, length, action_mask is not None),
            named,
            lambda: self._expert(frames, length),
        )
        call.load(**named)
        return call.replay()

    @torch.no_grad()
    def chunk(
        self,
        inputs: VlmInputs,
        state: Tensor,
        prefix: Tensor,
        prefix_lengths: Tensor,
        noise: Tensor,
        action_mask: Tensor | None = None,
    ) -> tuple[Tensor, VlmCache]:
        """Chunk and cache of a batch, in one graph; the next call overwrites both."""
        inputs = inputs.padded(BUCKET)
        named = _named_inputs(inputs) | _named_request(
            state, prefix, prefix_lengths, noise, action_mask
        )
        call = self._call(
            f"whole chunk, {_words(inputs)}",
            ("whole", _shape(inputs), action_mask is not None),
            named,
            lambda: self._both(inputs),
        )
        call.load(**named)
        return call.replay()

    # ---------------------------------------------------------------- what is captured
    def _brain(self, example: VlmInputs) -> Callable[..., VlmCache]:
        vlm, layers = self._model.vlm, self._model.config.dit_config.num_hidden_layers
        grids = tuple(group.grid for group in example.pictures)
        tables = brain_tables(vlm, example.input_ids.shape[1], grids, self._fused)

        def run(**named: Tensor) -> VlmCache:
            return encode(vlm, _inputs(named, grids), layers, tables, compiled=self._compile)

        return run

    def _expert(self, frames: int, length: int) -> Callable[..., Tensor]:
        room = self._sampler.room(frames, length, self._model.config.action_length)

        def run(**named: Tensor) -> Tensor:
            return self._sampler(_cache(named), **_request(named), room=room)

        return run

    def _both(self, example: VlmInputs) -> Callable[..., tuple[Tensor, VlmCache]]:
        brain = self._brain(example)
        frames, length = example.input_ids.shape
        room = self._sampler.room(frames, length, self._model.config.action_length)

        def run(**named: Tensor) -> tuple[Tensor, VlmCache]:
            cache = brain(**named)
            return self._sampler(cache, **_request(named), room=room), cache

        return run

    def _call(
        self,
        words: str,
        key: Any,
        example: Mapping[str, Tensor],
        make: Callable[[], Callable[..., Any]],
    ) -> StaticCall[Any]:
        if key in self._calls:
            self._calls.move_to_end(key)
            return self._calls[key]
        device = self._model.device
        inputs = {name: tensor.to(device, copy=True) for name, tensor in example.items()}
        call = self._captured(make(), inputs) if self.captures else None
        if call is None:
            call = StaticCall(make(), inputs, capture=False)
        self.warm_ups[words] = call.warm_up_s
        if self.captures:
            print(f"graph: {words}, ready after {call.warm_up_s:.1f} s", file=sys.stderr)
        self._calls[key] = call
        if len(self._calls) > MOST_SHAPES:
            self._calls.popitem(last=False)
        return call

    def _captured(
        self, function: Callable[..., Any], inputs: Mapping[str, Tensor]
    ) -> StaticCall[Any] | None:
        """The call as a graph; None, with one line about it, where that is not possible."""
        try:
            return StaticCall(function, inputs, capture=True)
        except (RuntimeError, AssertionError) as error:
            self.captures = False
            reason = str(error).splitlines()[0]
            warnings.warn(f"graph: {reason}; kernels start one by one", stacklevel=4)
            return None


# -------------------------------------------------------------------- tensors by name
def _named_inputs(inputs: VlmInputs) -> dict[str, Tensor]:
    named = {
        "ids": inputs.input_ids,
        "lengths": inputs.lengths,
        "positions": inputs.position_ids,
    }
    for number, group in enumerate(inputs.pictures):
        named |= {f"patches{number}": group.patches, f"index{number}": group.index}
    return named


def _inputs(named: Mapping[str, Tensor], grids: tuple[tuple[int, int], ...]) -> VlmInputs:
    return VlmInputs(
        named["ids"],
        named["lengths"],
        named["positions"],
        tuple(
            Pictures(named[f"patches{number}"], grid, named[f"index{number}"])
            for number, grid in enumerate(grids)
        ),
    )


def _named_cache(cache: VlmCache) -> dict[str, Tensor]:
    named = {"key_mask": cache.key_mask, "next_position": cache.next_position}
    for number, (key, value) in enumerate(cache.layers):
        named |= {f"key{number}": key, f"value{number}": value}
    return named


def _cache(named: Mapping[str, Tensor]) -> VlmCache:
    count = sum(name.startswith("value") for name in named)
    layers = tuple((named[f"key{number}"], named[f"value{number}"]) for number in range(count))
    return VlmCache(layers, named["key_mask"], named["next_position"])


def _named_request(
    state: Tensor,
    prefix: Tensor,
    prefix_lengths: Tensor,
    noise: Tensor,
    action_mask: Tensor | None,
) -> dict[str, Tensor]:
    named = {
        "state": state,
        "prefix": prefix,
        "prefix_lengths": prefix_lengths,
        "noise": noise,
    }
    return named if action_mask is None else named | {"action_mask": action_mask}


def _request(named: Mapping[str, Tensor]) -> dict[str, Any]:
    names = ("state", "prefix", "prefix_lengths", "noise", "action_mask")
    return {name: named[name] for name in names if name in named}


def _copied(cache: VlmCache) -> VlmCache:
    """The same numbers in one block of memory of their own."""
    parts = [part for entry in cache.layers for part in entry]
    block = parts[0].new_empty((len(parts), *parts[0].shape))
    torch._foreach_copy_(list(block.unbind()), parts)
    layers = tuple((block[2 * i], block[2 * i + 1]) for i in range(len(cache.layers)))
    return VlmCache(layers, cache.key_mask.clone(), cache.next_position.clone())


def _shape(inputs: VlmInputs) -> tuple[Any, ...]:
    pictures = tuple((group.grid, len(group.patches)) for group in inputs.pictures)
    return (*inputs.input_ids.shape, pictures)


def _words(inputs: VlmInputs) -> str:
    frames, length = inputs.input_ids.shape
    return f"{frames} x {length} tokens"
