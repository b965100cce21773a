"""Torch's global state as this package wants it, for the length of a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def float32_default() -> Iterator[None]:
    """Inside the block new tensors are float32, whatever default the caller has set."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def untouched_random_state() -> Iterator[None]:
    """Draws of torch's global generator inside the block leave it as it was.

    Layers draw their first weights from it when they are built, also where loaded weights replace
    them at once.
    """
    with torch.random.fork_rng(devices=[]):
        yield
