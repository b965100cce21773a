"""One process of `test_parallel`: trains a small module, the first one writes its weights."""

import json
import signal
import sys
from pathlib import Path

import torch
from torch import nn

from xr0_sim.training.parallel import joined
from xr0_sim.training.schedule import step_generator
from xr0_sim.training.trainer import Trainer, TrainerConfig


def main(directory: Path, stop_at: int) -> None:
    config = TrainerConfig(
        steps=8, warmup_steps=2, log_every=4, save_every=2, accumulation=4, precision="float32"
    )
    with joined() as ranks:
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 1))

        def loss(step, micro):
            if step == stop_at and ranks.rank == ranks.world - 1:
                signal.raise_signal(signal.SIGINT)
            x = torch.randn(8, 4, generator=step_generator(config.seed, step, micro))
            return {"loss": (module(x) - x.sum(-1, keepdim=True)).square().mean()}

        trainer = Trainer(config, module, loss, directory, lambda: {"val": 1.0}, lambda line: None)
        trainer.run()
        if ranks.main:
            weights = [
                value for p in module.parameters() for value in p.detach().flatten().tolist()
            ]
            found = {"step": trainer.step, "weights": weights}
            (directory / "weights.json").write_text(json.dumps(found))
    # Threads that outlive the group now and then abort a process that ends.
    threads = [(task / "comm").read_text() for task in Path("/proc/self/task").glob("*")]
    assert not [name for name in threads if "gloo" in name], threads


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
