"""Constants of a network that follow from plain numbers: built once per device, then kept.

Built at every call on the processor, such a table keeps a graphics card waiting, and a captured
graph cannot hold it. Whoever takes one must not write into it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, ParamSpec, TypeVar, cast

import torch
from torch import Tensor

_P = ParamSpec("_P")
_T = TypeVar("_T")

KEPT = 64
"""Arguments of which a table is kept; a run has a handful."""


def kept(make: Callable[_P, _T]) -> Callable[_P, _T]:
    """Keeps what a function of plain numbers and a device builds.

    Tensors are built outside of inference mode, so that a later training step may use them.
    """

    @lru_cache(maxsize=KEPT)
    def build(*args: Any, **kwargs: Any) -> _T:
        with torch.inference_mode(False), torch.no_grad():
            return make(*args, **kwargs)

    return cast("Callable[_P, _T]", build)


@kept
def counted(length: int, device: torch.device) -> Tensor:
    """(N,) long: 0 .. N - 1."""
    return torch.arange(length, device=device)


@kept
def numbers(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Plain numbers as a float32 tensor."""
    return torch.tensor(values, dtype=torch.float32).to(device)
