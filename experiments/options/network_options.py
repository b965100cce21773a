"""Which network a command runs and how: options that commands share, and what they resolve to."""

from __future__ import annotations

from dataclasses import dataclass, fields

from policies.table import policy_spec
from policies.xr0.checkpoints import (
    Weights,
    checkpoint_digest,
    checkpoint_heads,
    default_checkpoint,
)
from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.model.compute.precision import DEFAULT_PRECISION, STORED_WEIGHTS, check_vlm_weights
from xr0_sim.runtime.strategies.base import Strategy


@dataclass(frozen=True)
class WeightOptions:
    """Options of the trained policy's network; policies without weights take none of them.

    Attributes:
        checkpoint: Shipped name or path of the weights; default: the one for the task.
        temperature: Factor 0 .. 1 on the noise that xr0 starts a chunk from; default 0.
        precision: Numbers of xr0's network: auto (default), float32, bfloat16 or int8.
        device: Where xr0's network runs: cpu (default), cuda, cuda:N or auto.
        vlm_weights: How xr0's VLM is kept: stored (default), int8 or int4; the last two need
            the package torchao.
        compile: Compile xr0's Euler step; needs a C++ compiler, pays for large action experts.
    """

    checkpoint: str | None = None
    temperature: float | None = None
    precision: str | None = None
    device: str | None = None
    vlm_weights: str | None = None
    compile: bool = False

    def weights_of(
        self, task: str, policy: str, strategy: Strategy, head: str | None
    ) -> Weights | None:
        """What these options stand for, checked, with the task's and the executor's own filled in.

        Args:
            task: Key of `xr0_sim.registry.tasks`.
            policy: Text that names a policy of `xr0_sim.registry.policies`.
            strategy: Execution strategy; it decides the head when none is named.
            head: Action-expert head asked for.

        Returns:
            None for a policy without weights.
        """
        if not policy_spec(policy).trained:
            self._refuse_all(policy, head)
            return None
        if self.temperature is not None and not 0.0 <= self.temperature <= 1.0:
            raise ConfigError(f"--temperature: expected 0 .. 1, got {self.temperature:g}")
        vlm_weights = self.vlm_weights or STORED_WEIGHTS
        check_vlm_weights(vlm_weights)
        checkpoint = self.checkpoint or default_checkpoint(task)
        heads = checkpoint_heads(checkpoint)
        head = head or strategy.head
        if head not in heads:
            raise unknown_name(f"head of {checkpoint}", head, heads)

        from policies.xr0.chunk_model import resolve_precision
        from xr0_sim.model.compute.devices import DEFAULT_DEVICE, check_compiler, choose_device

        if self.compile:
            check_compiler()
        device = str(choose_device(self.device or DEFAULT_DEVICE))
        precision = self.precision or DEFAULT_PRECISION
        return Weights(
            checkpoint=checkpoint,
            digest=checkpoint_digest(checkpoint),
            head=head,
            temperature=self.temperature,
            precision=resolve_precision(checkpoint, head, precision, device),
            device=device,
            vlm_weights=vlm_weights,
            compile=self.compile,
        )

    def _refuse_all(self, policy: str, head: str | None) -> None:
        given = {"head": head} | {f.name: getattr(self, f.name) for f in fields(WeightOptions)}
        for name, value in given.items():
            if value is not None and value is not False:
                option = f"--{name.replace('_', '-')}"
                raise ConfigError(f"{option}: policy {policy!r} has no weights; leave it out")
