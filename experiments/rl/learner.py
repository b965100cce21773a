"""Soft actor-critic of Stable-Baselines3 that begins from demonstrations.

Additions from the literature: half of every batch is drawn from the demonstrations and the critics
have layer normalisation (Ball et al. 2023, "RLPD"); the actor starts as a clone of the expert and
is pulled towards it at a rate that falls to zero (Nair et al. 2018, without the filter), also in
the situations it gets into itself, where the expert says what it would decide (Ross et al. 2011,
"DAgger"). The actor follows the critics at a fifth of their rate: at the full rate a clone that did
a third of the scenes forgot nearly all of it within 1000 decisions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import SAC
from stable_baselines3.common.buffers import ReplayBuffer, ReplayBufferSamples
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize
from stable_baselines3.sac.policies import SACPolicy
from torch import nn

from experiments.rl.demonstrations import Demonstrations
from policies.rl.agent import Agent

CLONE_RATE = 1e-3
SETTLED = 0.03
"""Rate at which cloning begins, and the share of it at which it ends. Chosen."""
ACTOR_SHARE = 0.2
"""Learning rate of the actor over that of the critics. Chosen."""
CLONE_SPREAD = 0.1
"""Standard deviation before the squashing that the pull also goes to. Chosen: left to a target of
the entropy, jaws that are surely open or shut make up for it with wild steps."""
EDGE = 0.97
"""Where decisions are cut before the squashing is inverted. Chosen."""


class NormedPolicy(SACPolicy):
    """Networks of the learner: critics with layer normalisation behind every hidden layer."""

    def make_critic(self, features_extractor: Any = None) -> Any:
        """The critics, see `SACPolicy`."""
        critic: Any = super().make_critic(features_extractor)
        for number, network in enumerate(critic.q_networks):
            layers: list[nn.Module] = []
            for layer in network:
                layers.append(layer)
                if isinstance(layer, nn.Linear) and layer.out_features > 1:
                    layers.append(nn.LayerNorm(layer.out_features))
            normed = nn.Sequential(*layers)
            setattr(critic, f"qf{number}", normed)
            critic.q_networks[number] = normed
        return critic


class HalfDemonstrated(ReplayBuffer):
    """A replay buffer whose batches are half demonstrations, if there are any.

    Attributes:
        demonstrations: Transitions of the expert.
        rng: Draws from them.
        advice: What the expert would decide in the situation after each own transition; NaN where
            it was not asked, (size, 8).
    """

    demonstrations: Demonstrations | None = None
    rng: np.random.Generator

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.advice = np.full((self.buffer_size, self.action_dim), np.nan, np.float32)

    def add(
        self,
        obs: NDArray[Any],
        next_obs: NDArray[Any],
        action: NDArray[Any],
        reward: NDArray[Any],
        done: NDArray[Any],
        infos: list[dict[str, Any]],
    ) -> None:
        """Takes a transition of one environment, see `ReplayBuffer`."""
        self.advice[self.pos] = infos[0].get("advice", np.nan)
        super().add(obs, next_obs, action, reward, done, infos)

    def lesson(self, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Features (count, 69) and what the expert would decide on them (count, 8)."""
        shown = self.demonstrations
        assert shown is not None
        rows = self.rng.integers(len(shown) + self.size(), size=count)
        theirs, own = rows[rows < len(shown)], rows[rows >= len(shown)] - len(shown)
        own = own[np.isfinite(self.advice[own, 0])]
        features = np.concatenate([shown.features[theirs], self.next_observations[own, 0]])
        return features, np.concatenate([shown.labels[theirs], self.advice[own]])

    def draw(self, count: int) -> NDArray[np.int64]:
        """Random rows of the demonstrations."""
        assert self.demonstrations is not None
        return self.rng.integers(len(self.demonstrations), size=count)

    def normalised(self, features: NDArray[np.float32], env: VecNormalize | None) -> torch.Tensor:
        """Features as the networks take them."""
        scaled: Any = self._normalize_obs(features, env)
        return self.to_torch(scaled)

    def sample(self, batch_size: int, env: VecNormalize | None = None) -> ReplayBufferSamples:
        """A batch, see `ReplayBuffer`."""
        shown = self.demonstrations
        if shown is None:
            return super().sample(batch_size, env)
        half = batch_size // 2
        own = super().sample(batch_size - half, env)
        rows = self.draw(half)
        theirs: tuple[Any, ...] = (
            self._normalize_obs(shown.features[rows], env),
            shown.decisions[rows],
            self._normalize_obs(shown.next_features[rows], env),
            shown.dones[rows, None],
            self._normalize_reward(shown.rewards[rows, None], env),
        )
        pairs = zip(own[:5], (self.to_torch(part) for part in theirs), strict=True)
        return ReplayBufferSamples(*(torch.cat([a, b.to(a.dtype)]) for a, b in pairs))


class DemonstratedSAC(SAC):
    """SAC whose actor is also pulled towards the demonstrations for a while.

    Attributes:
        clone_until: Time steps after which the pull is zero; it falls linearly.
    """

    clone_until = 0
    _cloner: torch.optim.Optimizer | None = None

    def _update_learning_rate(self, optimizers: Any) -> None:
        super()._update_learning_rate(optimizers)
        if self.clone_until:
            for group in self.actor.optimizer.param_groups:
                group["lr"] *= ACTOR_SHARE

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """Gradient steps of SAC, then those towards the demonstrations."""
        super().train(gradient_steps, batch_size)
        pull = 1.0 - self.num_timesteps / max(1, self.clone_until)
        if pull > 0.0:
            self.logger.record("train/clone_loss", self.clone(gradient_steps, batch_size, pull))

    def clone(self, steps: int, batch_size: int, pull: float = 1.0, settles: bool = False) -> float:
        """Gradient steps of the actor's mean towards the expert's decisions.

        Args:
            steps: How many.
            batch_size: Situations in each.
            pull: Rate, as a share of `CLONE_RATE`.
            settles: Whether the rate falls to `SETTLED` of that.

        Returns:
            Mean squared error of the last batch, in decisions.
        """
        buffer = self.replay_buffer
        assert isinstance(buffer, HalfDemonstrated)
        statistics = self.get_vec_normalize_env()
        if buffer.demonstrations is None or not steps:
            return float("nan")
        if self._cloner is None:
            self._cloner = torch.optim.Adam(self.actor.parameters(), CLONE_RATE)
        for step in range(steps):
            falls = 1.0 - (1.0 - SETTLED) * step / steps if settles else 1.0
            self._cloner.param_groups[0]["lr"] = CLONE_RATE * pull * falls
            features, labels = buffer.lesson(batch_size)
            seen = buffer.normalised(features, statistics)
            mean, log_std, _ = self.actor.get_action_dist_params(seen)
            wanted = buffer.to_torch(labels)
            error = (torch.tanh(mean) - wanted).square().mean()
            # Pulls a saturated mean back where the decision is inside its range.
            inside = (mean - torch.atanh(wanted.clamp(-EDGE, EDGE))).square().mean()
            spread = (log_std - np.log(CLONE_SPREAD)).square().mean()
            self._cloner.zero_grad()
            (error + 0.01 * inside + 0.01 * spread).backward()
            self._cloner.step()
        return float(error.detach())

    def settle_critics(self, steps: int, batch_size: int) -> None:
        """Gradient steps of the critics on the demonstrations alone, with the actor as it is."""
        buffer = self.replay_buffer
        assert isinstance(buffer, HalfDemonstrated)
        shown, statistics = buffer.demonstrations, self.get_vec_normalize_env()
        assert shown is not None and statistics is not None
        for _ in range(steps):
            rows = buffer.draw(batch_size)
            seen, after = (
                buffer.normalised(part[rows], statistics)
                for part in (shown.features, shown.next_features)
            )
            done, reward, decision = map(
                buffer.to_torch,
                (
                    shown.dones[rows, None],
                    statistics.normalize_reward(shown.rewards[rows, None]),
                    shown.decisions[rows],
                ),
            )
            with torch.no_grad():
                chosen, _ = self.actor.action_log_prob(after)
                value = torch.cat(self.critic_target(after, chosen), dim=1).amin(1, keepdim=True)
                target = reward + (1 - done) * self.gamma * value
            loss = sum((value - target).square().mean() for value in self.critic(seen, decision))
            self.critic.optimizer.zero_grad()
            loss.backward()
            self.critic.optimizer.step()
            pairs = zip(self.critic.parameters(), self.critic_target.parameters(), strict=True)
            with torch.no_grad():
                for own, slow in pairs:
                    slow.lerp_(own, self.tau)


def feature_statistics(statistics: VecNormalize) -> RunningMeanStd:
    """Mean and variance of the features."""
    found = statistics.obs_rms
    assert isinstance(found, RunningMeanStd)
    return found


def exported(model: SAC, statistics: VecNormalize, record: dict[str, Any]) -> Agent:
    """The actor's mean as an `Agent`."""
    hidden: Any = model.actor.latent_pi
    linear: list[Any] = [*(m for m in hidden if isinstance(m, nn.Linear)), model.actor.mu]
    layers = [
        (
            layer.weight.detach().cpu().numpy().copy(),
            layer.bias.detach().cpu().numpy().copy(),
        )
        for layer in linear
    ]
    rms = feature_statistics(statistics)
    return Agent(np.asarray(rms.mean).copy(), np.asarray(rms.var).copy(), layers, record)
