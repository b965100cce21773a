"""Which scripted expert belongs to an environment: the one its task's spec names."""

from __future__ import annotations

from envs.dual_arm import DualArmEnv
from envs.tasks import spec_of
from policies.scripted.expert import ScriptedExpert
from xr0_sim.errors import ConfigError
from xr0_sim.registry import import_attribute, tasks


def make_expert(env: DualArmEnv) -> ScriptedExpert:
    """The expert of an environment's task.

    Raises:
        ConfigError: The environment belongs to no registered task, or its task names no expert.
    """
    found = spec_of(env)
    if found is None:
        raise ConfigError(
            f"scripted expert: expected an environment of a registered task "
            f"({', '.join(tasks)}), got {type(env).__name__}; register its TaskSpec"
        )
    name, spec = found
    if not spec.expert:
        raise ConfigError(
            f"env {name!r}: expected a scripted expert, its TaskSpec names none; give it "
            "expert='module:attribute', or choose another policy"
        )
    expert = import_attribute(spec.expert) if isinstance(spec.expert, str) else spec.expert
    return expert(env.kinematics)
