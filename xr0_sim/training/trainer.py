"""The loop all stages share: AdamW, cosine schedule, clipping, EMA, resumable to the bit.

A stage supplies one function from (step, micro) to a dict of loss terms; "loss" is minimised. Every
random draw of a stage derives from its seed and the step, so the only state of a run is weights,
averages, optimiser and step number. Killed and started again, it continues as if nothing happened.
Under torchrun, processes share the micro batches of a step: `xr0_sim.training.parallel`.
"""

from __future__ import annotations

import io
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from xr0_sim.atomic import write_bytes
from xr0_sim.errors import CheckpointError, ConfigError
from xr0_sim.model.compute.precision import choose_training_precision
from xr0_sim.training.parallel import Ranks
from xr0_sim.training.run_log import RunLog
from xr0_sim.training.schedule import learning_rate

STATE_FILE = "trainer.pt"
FIXED_BY_RUN = ("steps", "learning_rate", "warmup_steps", "seed", "batch_size", "accumulation")


@dataclass(frozen=True)
class TrainerConfig:
    """Settings of one run.

    Attributes:
        steps: Optimiser steps.
        learning_rate: Peak rate.
        warmup_steps: Linear warm-up.
        weight_decay: On matrices only.
        betas: AdamW moments.
        clip: Largest gradient norm.
        ema_decay: Decay of the weight average; ramps up over the first steps.
        batch_size: Frames per micro batch.
        accumulation: Micro batches per step.
        seed: Seed of everything random in the run.
        log_every: Steps between metric rows (means over the interval).
        eval_every: Steps between evaluations, 0 = only at the end.
        save_every: Steps between resumable states.
        precision: Format of the matrix products, one of
            `xr0_sim.model.compute.precision.TRAINING_PRECISIONS`.
        tensorboard: Also write TensorBoard event files.
    """

    steps: int
    learning_rate: float = 1e-3
    warmup_steps: int = 200
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float = 1.0
    ema_decay: float = 0.999
    batch_size: int = 32
    accumulation: int = 1
    seed: int = 0
    log_every: int = 50
    eval_every: int = 0
    save_every: int = 500
    precision: str = "auto"
    tensorboard: bool = False

    def __post_init__(self) -> None:
        """Rejects empty runs."""
        if self.steps < 1 or self.batch_size < 1 or self.accumulation < 1:
            raise ConfigError(
                "trainer: expected steps, batch_size and accumulation >= 1, got "
                f"{self.steps}, {self.batch_size}, {self.accumulation}"
            )

    def autocast(self, device: torch.device) -> torch.autocast:
        """Context in which networks run on a device while they learn."""
        reduced = choose_training_precision(self.precision, device) == "bfloat16"
        return torch.autocast(device.type, torch.bfloat16, reduced)


class Trainer:
    """Runs a stage.

    Args:
        config: Settings.
        module: Everything that is trained, on the device it is trained on.
        loss: (step, micro) -> loss terms; "loss" is minimised, the others are logged.
        directory: Where state and metrics go.
        evaluate: Called with the averaged weights in place; returns metrics.
        show: Receives progress lines.
    """

    def __init__(
        self,
        config: TrainerConfig,
        module: nn.Module,
        loss: Callable[[int, int], Mapping[str, Tensor]],
        directory: Path,
        evaluate: Callable[[], Mapping[str, float]] | None = None,
        show: Callable[[str], None] = print,
    ) -> None:
        self.config = config
        self.module = module
        self.directory = Path(directory)
        self.step = 0
        self._ranks = Ranks.present()
        self._micros = self._ranks.micros(config.accumulation)
        self._loss = loss
        self._evaluate = evaluate
        self._parameters: list[Tensor] = [p for p in module.parameters() if p.requires_grad]
        self._average = [p.detach().clone() for p in self._parameters]
        matrices = [p for p in self._parameters if p.ndim >= 2]
        vectors = [p for p in self._parameters if p.ndim < 2]
        self._optimizer = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": config.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
            betas=config.betas,
            fused=True,
        )
        self.directory.mkdir(parents=True, exist_ok=True)
        self._log = None
        if self._ranks.main:
            self._log = RunLog(self.directory, config.steps, show, config.tensorboard)
        self._asked = self._stop = False

    def run(self) -> bool:
        """Trains to the end, resuming an earlier state of this directory.

        Returns:
            True when all steps are done, False when interrupted (the state is saved).
        """
        with self._ranks.main_first():
            self._resume()
        sums: dict[str, float] = {}
        summed = 0
        with self._interruptible():
            while self.step < self.config.steps and not self._stop:
                for name, value in self._one_step().items():
                    sums[name] = sums.get(name, 0.0) + value
                self.step += 1
                summed += 1
                last = self.step == self.config.steps
                if self.step % self.config.log_every == 0 or last:
                    self._note({k: v / summed for k, v in sums.items()})
                    sums, summed = {}, 0
                every = self.config.eval_every
                if self._evaluate and (last or (every and self.step % every == 0)):
                    with self.averaged():
                        self._note(dict(self._evaluate()) if self._ranks.main else {})
                if self.step % self.config.save_every == 0 or last:
                    self.save()
        if self._stop:
            self.save()
        return self.step == self.config.steps

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Puts the averaged weights in place for the duration, in evaluation mode."""
        own = [p.detach().clone() for p in self._parameters]
        training = self.module.training
        self._put(self._average)
        self.module.eval()
        try:
            yield
        finally:
            self._put(own)
            self.module.train(training)

    def save(self) -> None:
        """Writes the resumable state, atomically."""
        if not self._ranks.main:
            return
        buffer = io.BytesIO()
        torch.save(
            {
                "step": self.step,
                "config": asdict(self.config),
                "parameters": [p.detach() for p in self._parameters],
                "average": self._average,
                "optimizer": self._optimizer.state_dict(),
            },
            buffer,
        )
        write_bytes(self.directory / STATE_FILE, buffer.getvalue())

    def _one_step(self) -> dict[str, float]:
        config = self.config
        self.module.train()
        terms: dict[str, float] = {}
        for micro in self._micros:
            with config.autocast(self._parameters[0].device):
                values = self._loss(self.step, micro)
            (values["loss"] / config.accumulation).backward()
            for name, value in values.items():
                terms[name] = terms.get(name, 0.0) + float(value.detach()) / config.accumulation
        terms = self._share(terms)
        norm = nn.utils.clip_grad_norm_(self._parameters, config.clip)
        if not bool(torch.isfinite(norm)):
            raise CheckpointError(
                f"step {self.step}: expected a finite gradient, got {float(norm)}; lower the "
                "learning rate or check the data"
            )
        rate = learning_rate(self.step, config.learning_rate, config.warmup_steps, config.steps)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        decay = min(config.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(self._average, self._parameters, 1.0 - decay)
        return {**terms, "grad_norm": float(norm), "lr": rate}

    def _share(self, terms: dict[str, float]) -> dict[str, float]:
        """Adds up gradients, loss terms and wishes to stop over all processes.

        All of them stop after the same step, or those that go on would wait for the others.
        """
        if self._ranks.world == 1:
            self._stop = self._asked
            return terms
        for p in self._parameters:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        figures = torch.tensor([*terms.values(), float(self._asked)], dtype=torch.float64)
        self._ranks.add_up([p.grad for p in self._parameters if p.grad is not None])
        self._ranks.add_up([figures])
        self._stop = bool(figures[-1] > 0)
        return dict(zip(terms, figures[:-1].tolist(), strict=True))

    def _note(self, row: Mapping[str, float]) -> None:
        if self._log is not None:
            self._log.write(self.step, row)

    def _put(self, values: list[Tensor]) -> None:
        with torch.no_grad():
            torch._foreach_copy_(self._parameters, values)

    def _resume(self) -> None:
        path = self.directory / STATE_FILE
        if not path.exists():
            if self._log is not None:
                self._log.rewind(-1)
            return
        try:
            state = torch.load(path, weights_only=True, map_location="cpu")
            self._put(state["parameters"])
            torch._foreach_copy_(self._average, state["average"])
            self._optimizer.load_state_dict(state["optimizer"])
            self.step = int(state["step"])
            earlier = state["config"]
        except (OSError, RuntimeError, KeyError, ValueError, EOFError) as error:
            raise CheckpointError(
                f"training state {path}: expected the state of this run, got "
                f"{type(error).__name__}: {error}; delete it to start over"
            ) from error
        for name in FIXED_BY_RUN:
            if earlier[name] != getattr(self.config, name):
                raise ConfigError(
                    f"resume {self.directory}: expected {name} = {earlier[name]!r} as before, got "
                    f"{getattr(self.config, name)!r}; use another directory"
                )
        if self._log is not None:
            self._log.rewind(self.step)

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Ctrl-C finishes the current step and saves, when in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def request_stop(signum: int, frame: object) -> None:
            self._asked = True

        previous = signal.signal(signal.SIGINT, request_stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)
