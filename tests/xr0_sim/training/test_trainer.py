"""The training loop: resume to the bit, interrupt, metrics, schedule, data order."""

from __future__ import annotations

import itertools
import signal

import numpy as np
import pytest
import torch
from torch import nn

from xr0_sim.errors import CheckpointError, ConfigError
from xr0_sim.training.run_log import read_metrics
from xr0_sim.training.schedule import SampleOrder, learning_rate, step_generator
from xr0_sim.training.trainer import STATE_FILE, Trainer, TrainerConfig

CONFIG = TrainerConfig(
    steps=12, warmup_steps=2, log_every=3, save_every=4, accumulation=2, batch_size=8
)


class Killed(Exception):
    pass


def make(directory, config=CONFIG, kill_at=None, interrupt_at=None):
    torch.manual_seed(0)
    module = nn.Linear(4, 1)

    def loss(step, micro):
        if step == kill_at:
            raise Killed
        if step == interrupt_at and micro == 0:
            signal.raise_signal(signal.SIGINT)
        x = torch.randn(8, 4, generator=step_generator(config.seed, step, micro))
        return {"loss": (module(x) - x.sum(-1, keepdim=True)).square().mean()}

    return Trainer(config, module, loss, directory, lambda: {"val": 1.0}, show=lambda line: None)


def final(trainer):
    return [*trainer.module.parameters(), *trainer._average]


def test_killed_run_continues_to_the_bit(tmp_path):
    whole = make(tmp_path / "whole")
    assert whole.run()
    with pytest.raises(Killed):
        make(tmp_path / "parts", kill_at=6).run()
    resumed = make(tmp_path / "parts")
    assert resumed.run()
    for one, two in zip(final(whole), final(resumed), strict=True):
        assert torch.equal(one, two)
    steps = [row["step"] for row in read_metrics(tmp_path / "parts")]
    assert steps == sorted(steps) and steps[-1] == 12


def test_interrupt_saves_and_continues(tmp_path):
    first = make(tmp_path, interrupt_at=5)
    assert first.run() is False and first.step == 6
    second = make(tmp_path)
    assert second.run() is True
    whole = make(tmp_path / "whole")
    whole.run()
    assert all(torch.equal(a, b) for a, b in zip(final(whole), final(second), strict=True))


def test_loss_falls_and_average_is_used_for_evaluation(tmp_path):
    config = TrainerConfig(steps=150, learning_rate=0.05, warmup_steps=5, log_every=10)
    trainer = make(tmp_path, config)
    trainer.run()
    losses = [row["loss"] for row in read_metrics(tmp_path) if "loss" in row]
    assert losses[-1] < 0.05 * losses[0]
    own = trainer.module.weight.detach().clone()
    with trainer.averaged():
        assert not torch.equal(trainer.module.weight, own) and not trainer.module.training
    assert torch.equal(trainer.module.weight, own)


def test_other_settings_or_damage_are_refused(tmp_path):
    make(tmp_path).run()
    with pytest.raises(ConfigError, match="expected seed = 0"):
        make(tmp_path, TrainerConfig(**{**CONFIG.__dict__, "seed": 1})).run()
    state = tmp_path / STATE_FILE
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="delete it"):
        make(tmp_path).run()


def test_divergence_is_reported(tmp_path):
    trainer = make(tmp_path)
    trainer._loss = lambda step, micro: {"loss": trainer.module.weight.sum() * float("nan")}
    with pytest.raises(CheckpointError, match="finite gradient"):
        trainer.run()


def test_learning_rate_shape():
    rates = [learning_rate(step, 1.0, 10, 110) for step in range(110)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == 1.0
    assert rates[60] == pytest.approx(0.51) and 0.02 <= rates[-1] < 0.03
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))


def test_rounding_never_draws_a_row_without_weight():
    weights = np.full(100_000, 0.1, np.float32)
    weights[-20_000:] = 0.0
    order = SampleOrder(np.arange(len(weights)), weights, 4096, seed=0)
    assert max(order.batch(step, 0).max() for step in range(40)) < 80_000


def test_sample_order_is_deterministic_and_weighted():
    rows, weights = np.arange(100, 110), np.array([0.0] * 5 + [1.0] * 4 + [4.0])
    order = SampleOrder(rows, weights, 64, seed=3)
    np.testing.assert_array_equal(order.batch(5, 0), SampleOrder(rows, weights, 64, 3).batch(5, 0))
    drawn = np.concatenate([order.batch(step, 0) for step in range(50)])
    assert drawn.min() >= 105
    assert np.mean(drawn == 109) == pytest.approx(0.5, abs=0.02)
    with pytest.raises(ConfigError, match="sample order"):
        SampleOrder(rows, weights * 0, 4, 0)
