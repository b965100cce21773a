"""Functions of tensors that run in the same memory every time, so that a card can replay them.

A chunk of XR-0 is some thousand small kernels; starting them one by one takes a graphics card
several times longer than computing them. Captured once as a CUDA graph they start together. What is
captured must not build tables, ask for a number or copy from the processor; the tests watch that on
machines without a card.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

OutputT = TypeVar("OutputT")

WARM_UPS = 3
"""Runs before a capture, in which libraries choose their kernels and take their memory."""


class StaticCall(Generic[OutputT]):
    """A function that reads its inputs where they lay the first time, and answers there.

    Args:
        function: Takes the inputs by name; its result may hold tensors in any arrangement.
        inputs: Memory of the inputs, filled with an example.
        capture: Capture it as a CUDA graph; without, it runs kernel by kernel.

    Attributes:
        warm_up_s: Wall time of the warm-up and of the capture [s].
        output: What the function returns; the next call overwrites its tensors.
    """

    def __init__(
        self,
        function: Callable[..., OutputT],
        inputs: Mapping[str, Tensor],
        capture: bool,
    ) -> None:
        start = time.perf_counter()
        self._function = function
        self._inputs = dict(inputs)
        self._staged = {name: _Staged(tensor) for name, tensor in inputs.items()}
        self._graph: Any = None
        if capture:
            self._graph, self.output = _captured(lambda: function(**self._inputs))
        else:
            self.output = function(**self._inputs)
        self.warm_up_s = time.perf_counter() - start

    def load(self, **given: Tensor) -> None:
        """Copies inputs to where the function reads them; the others stay as they were."""
        targets, sources = [], []
        for name, tensor in given.items():
            if tensor.device == self._inputs[name].device:
                targets.append(self._inputs[name])
                sources.append(tensor)
            else:
                self._staged[name].copy(tensor)
        if targets:
            torch._foreach_copy_(targets, sources)

    def replay(self) -> OutputT:
        """Runs on the loaded inputs; see `output`."""
        if self._graph is None:
            self.output = self._function(**self._inputs)
        else:
            self._graph.replay()
        return self.output


class _Staged:
    """Memory of one input, with a pinned copy on the processor so that nobody waits for it."""

    def __init__(self, target: Tensor) -> None:
        self._target = target
        self._pinned: Tensor | None = None
        self._done: Any = None

    def copy(self, given: Tensor) -> None:
        target = self._target
        if target.device.type != "cuda":
            target.copy_(given)
            return
        if self._pinned is None:
            self._pinned = torch.empty(target.shape, dtype=target.dtype, pin_memory=True)
            self._done = torch.cuda.Event()
        else:
            # The last copy may still be reading.
            self._done.synchronize()
        self._pinned.copy_(given)
        target.copy_(self._pinned, non_blocking=True)
        self._done.record()


def _captured(run: Callable[[], OutputT]) -> tuple[Any, OutputT]:
    """A CUDA graph of what runs, after a warm-up on a stream of its own."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UPS):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = run()
    return graph, output
