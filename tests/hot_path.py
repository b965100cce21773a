"""Watches what a function asks of torch: what must not be part of a captured graph.

Runs on the processor or on torch's ``meta`` device, so that a mistake is found without a card.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

TABLES = frozenset(
    "arange full ones zeros eye linspace scalar_tensor lift_fresh lift_fresh_copy "
    "tril_indices triu_indices rand randn randint randperm".split()
)
"""Operations that build something out of plain numbers."""
QUESTIONS = frozenset("_local_scalar_dense equal is_nonzero nonzero masked_select unique".split())
"""Operations whose answer, or its size, has to come back to the processor."""


COPIES = frozenset("_to_copy copy_ copy _foreach_copy_ clone".split())
INDEXED = frozenset("index index_put index_put_ _index_put_impl_".split())
"""Operations that are questions where the index is a mask, whose hits have to be counted."""


class HotPathError(RuntimeError):
    """A function does what a captured graph cannot hold."""


class HotPath(TorchDispatchMode):
    """Refuses tables, questions and copies between devices while it is on.

    Attributes:
        operations: How many operations were asked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Looks at one operation before it runs."""
        kwargs = kwargs or {}
        self.operations += 1
        name = func.overloadpacket.__name__
        if name in TABLES:
            raise HotPathError(f"{func}: builds a table; keep it (compute.kept)")
        if name in QUESTIONS or (name in INDEXED and _masked(args)):
            raise HotPathError(f"{func}: waits for an answer; decide it beforehand")
        result = func(*args, **kwargs)
        # Fused kernels answer with unused tensors of the processor; copies with what they made.
        told = (args, kwargs, result) if name in COPIES else (args, kwargs)
        devices = {leaf.device for leaf in tree_leaves(told) if isinstance(leaf, Tensor)}
        if len(devices) > 1:
            words = ", ".join(sorted(map(str, devices)))
            raise HotPathError(f"{func}: copies between {words}; move it beforehand")
        return result


def _masked(args: tuple[Any, ...]) -> bool:
    return any(leaf.dtype == torch.bool for leaf in tree_leaves(args[1]) if torch.is_tensor(leaf))


@contextmanager
def hot_path() -> Iterator[HotPath]:
    """Refuses inside the block what a captured graph cannot hold.

    Raises:
        HotPathError: From the block, at the first such operation.
    """
    with torch.no_grad(), HotPath() as watch:
        yield watch
