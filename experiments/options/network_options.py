"""Which network a command runs and how: options that commands share, and what they resolve to."""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass, fields, replace

from policies.table import policy_spec
from policies.xr0.checkpoints import (
    Weights,
    checkpoint_digest,
    checkpoint_heads,
    default_checkpoint,
    find_checkpoint,
    is_released,
)
from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.model.compute.precision import DEFAULT_PRECISION, STORED_WEIGHTS
from xr0_sim.model.network_options import check_temperature, check_window
from xr0_sim.runtime.strategies.base import Strategy

REDUCED_WORDS = {
    name: f"precision auto is {name} here: a normalised chunk is off by {gap}"
    "; --precision float32 is exact, and the run card says which it was"
    for name, gap in (
        ("int8", "0.009, largest 0.5 (the trained one of 4 x 128)"),
        ("bfloat16", "0.004, largest 0.09 (the trained one of 4 x 128)"),
    )
}
"""What is said where ``auto`` takes fewer bits; deviations from ``xr0_sim/model/README.md``."""


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
        graph: Run xr0 in captured graphs; needs a graphics card, and pays on every one.
        robot_type: Robot type of a released checkpoint; default: the only one that fits.
        views: Views of a released checkpoint in prompt order, each NAME or NAME=CAMERA, e.g.
            ego=base; default: all three cameras.
        window: Λ window at inference [rows]: how many earlier actions an action token sees;
            default: the one that the head was trained with.
    """

    checkpoint: str | None = None
    temperature: float | None = None
    precision: str | None = None
    device: str | None = None
    vlm_weights: str | None = None
    compile: bool = False
    graph: bool = False
    robot_type: str | None = None
    views: tuple[str, ...] | None = None
    window: int | None = None

    def recorded_horizon(self, task: str, world: str | None) -> int | None:
        """Executed rows that the weights were measured best with; None if their record is silent.

        Args:
            task: Key of `xr0_sim.registry.tasks`.
            world: As in `weights_of`.
        """
        from policies.xr0.checkpoints import default_checkpoint, find_checkpoint
        from xr0_sim.model.checkpoints.manifest import read_manifest

        record = read_manifest(find_checkpoint(self.checkpoint or default_checkpoint(task, world)))
        return None if record is None else record.execution_horizon

    def weights_of(
        self,
        task: str,
        policy: str,
        strategy: Strategy,
        head: str | None,
        world: str | None,
    ) -> Weights | None:
        """What these options stand for, checked, with the task's and the executor's own filled in.

        Args:
            task: Key of `xr0_sim.registry.tasks`.
            policy: Text that names a policy of `xr0_sim.registry.policies`.
            strategy: Execution strategy; it decides the head when none is named.
            head: Action-expert head asked for.
            world: Name of the world it is going to act in, which decides between shipped
                checkpoints; None where there is no world.

        Returns:
            None for a policy without weights.
        """
        if not policy_spec(policy).trained:
            self._refuse_all(policy, head)
            return None
        from policies.xr0.fit import check_prefix, check_task
        from policies.xr0.loading import refuse_released_options, resolve_precision
        from policies.xr0.released_model import choose_robot_type, parse_views
        from xr0_sim.model.checkpoints.shipped import load_config
        from xr0_sim.model.compute.devices import (
            DEFAULT_DEVICE,
            NO_GRAPH,
            choose_device,
            prepare_compiler,
        )

        check_temperature(self.temperature, "--temperature")
        check_window(self.window, "--window")
        checkpoint = self.checkpoint or default_checkpoint(task, world)
        path = find_checkpoint(checkpoint)
        heads = checkpoint_heads(checkpoint)
        head = head or (heads[0] if is_released(path) else strategy.head_among(heads))
        if head not in heads:
            raise unknown_name(f"head of {checkpoint}", head, heads)
        if self.compile:
            prepare_compiler()
        device = str(choose_device(self.device or DEFAULT_DEVICE))
        graph = self.graph and device != "cpu"
        if self.graph and not graph:
            say_once(NO_GRAPH.format(device))
        weights = Weights(
            checkpoint=checkpoint,
            head=head,
            temperature=self.temperature,
            precision=self.precision or DEFAULT_PRECISION,
            device=device,
            vlm_weights=self.vlm_weights or STORED_WEIGHTS,
            compile=self.compile,
            graph=graph,
            robot_type=self.robot_type,
            views=self.views,
            window=self.window,
            digest=checkpoint_digest(checkpoint),
        )
        precision = resolve_precision(checkpoint, head, weights.precision, device)
        if precision != "float32" and weights.precision == DEFAULT_PRECISION:
            say_once(REDUCED_WORDS[precision])
        if is_released(path):
            parse_views(self.views)
            robot_type = choose_robot_type(path, self.robot_type, task).robot_type
            return replace(weights, precision=precision, robot_type=robot_type)
        refuse_released_options(weights)
        check_task(path, task)
        stored = load_config(path, head)
        weights = replace(weights, trained_window=stored.action_window)
        told = check_prefix(strategy, stored.prefix_max, head)
        if told:
            say_once(told)
        return replace(weights, precision=precision)

    def _refuse_all(self, policy: str, head: str | None) -> None:
        given = {"head": head} | {f.name: getattr(self, f.name) for f in fields(WeightOptions)}
        for name, value in given.items():
            if value is not None and value is not False and value != ():
                option = f"--{name.replace('_', '-')}"
                raise ConfigError(f"{option}: policy {policy!r} has no weights; leave it out")


@functools.lru_cache(maxsize=64)
def say_once(text: str) -> None:
    """Warns on standard error, the same text once."""
    print(f"warning: {text}", file=sys.stderr, flush=True)
