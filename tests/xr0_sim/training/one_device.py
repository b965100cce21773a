"""Finds tensors that were left behind when everything else moved to another device."""

from __future__ import annotations

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

MOVES = ("aten._to_copy", "aten.copy_", "aten.to")
"""Operations whose very purpose is to bring devices together."""


class OneDevice(TorchDispatchMode):
    """Rejects operations on tensors of several devices, as a graphics card does.

    With weights on torch's ``meta`` device, which computes shapes alone, this stands in for a card:
    a table made on the processor in the middle of a network is found without one.
    """

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        leaves = tree_leaves((args, kwargs or {}))
        devices = {x.device.type for x in leaves if isinstance(x, torch.Tensor) and x.ndim > 0}
        if len(devices) > 1 and not str(operation).startswith(MOVES):
            raise AssertionError(f"{operation}: tensors on {sorted(devices)}")
        return operation(*args, **(kwargs or {}))
