"""Several processes train one model: each takes some of a step's micro batches.

Started by PyTorch's own launcher: ``torchrun --standalone --nproc-per-node N --no-python xr0-sim
train --accumulation N …``. All processes hold the same weights and add up their gradients, so N
processes do what one does with the same accumulation, up to the order of the sums. The first one
alone writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from xr0_sim.errors import ConfigError
from xr0_sim.model.compute.devices import local_rank

BACKENDS = "cpu:gloo"
CARD_BACKENDS = "cpu:gloo,cuda:nccl"


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together.

    Attributes:
        rank: Its number from 0.
        world: How many there are.
    """

    rank: int = 0
    world: int = 1

    @classmethod
    def present(cls) -> Ranks:
        """The group that `joined` has formed; one process without."""
        if not distributed.is_initialized():
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    @property
    def main(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def micros(self, accumulation: int) -> range:
        """Micro batches of a step that this process takes.

        Raises:
            ConfigError: They cannot be shared out evenly.
        """
        if accumulation % self.world:
            raise ConfigError(
                f"accumulation: expected a multiple of the {self.world} processes, got "
                f"{accumulation}"
            )
        return range(self.rank, accumulation, self.world)

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replaces every tensor by its sum over the processes."""
        if self.world > 1:
            flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
            distributed.all_reduce(flat)
            for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
                tensor.copy_(part.view_as(tensor))

    def wait(self) -> None:
        """Until every process has come this far."""
        if self.world > 1:
            distributed.barrier()

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Lets the first process through the block alone, then the others."""
        if not self.main:
            self.wait()
        yield
        if self.main:
            self.wait()


@contextmanager
def joined() -> Iterator[Ranks]:
    """Joins the group that torchrun has announced, if any, for the duration."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or distributed.is_initialized():
        yield Ranks.present()
        return
    # Optimizers import this. Imported once a group exists it keeps the group for ever: the threads
    # of gloo outlive it, and now and then one of them aborts a process that ends.
    import torch._dynamo

    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if cards:
        torch.cuda.set_device(local_rank() % cards)  # or all would meet on the first card
    distributed.init_process_group(CARD_BACKENDS if cards else BACKENDS)
    try:
        yield Ranks.present()
    finally:
        distributed.destroy_process_group()
