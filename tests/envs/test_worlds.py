"""Every world, servo, sense and look that is registered plays the same bits, wherever it is played.

New entries of the registries are covered without a word here.
"""

from __future__ import annotations

import multiprocessing
import pickle
import warnings
from hashlib import blake2b

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from envs.robot.actions import to_unit
from envs.snapshot import physics_state
from envs.tasks import SHIPPED, env_class
from envs.world import WORLDS
from policies.scripted.experts import make_expert
from xr0_sim.errors import ConfigError
from xr0_sim.registry import looks, senses, servos

CHOICES = [
    *({"world": name} for name in WORLDS),
    *({"servo": name} for name in servos),
    *({"senses": name} for name in senses if name != "clean"),
    *({"looks": name} for name in looks if name != "none"),
]
"""Each entry once, the rest as in the newest world."""
SMALL = {"block_dismantling": {"n_bricks": 2}, "towel_folding": {"grid": 9}}
SEED, TICKS, HALF = 31, 8, 4


def cases():
    """Every choice with every task; with towels, all but the worlds are slow."""
    for task in SHIPPED:
        for choice in CHOICES:
            slow = task == "towel_folding" and "world" not in choice
            name = "-".join((task, *choice.values()))
            yield pytest.param(task, choice, id=name, marks=[pytest.mark.slow] if slow else [])


CASES = list(cases())


def make(task, choice, **kwargs):
    seen = "state" if "servo" in choice else "pixels"
    given = {"observation": seen, "image_size": 64, **kwargs}
    return env_class(task)(**SMALL[task], **choice, **given)


def told(env, step):
    """Digest of everything a tick gives and leaves behind."""
    observation, reward, terminated, _, info = step
    sha = blake2b(physics_state(env.model, env.data).tobytes(), digest_size=12)
    for name in sorted(observation):
        sha.update(np.ascontiguousarray(observation[name]).tobytes())
    sha.update(repr((reward, terminated, info["success"], info["phase"])).encode())
    return sha.hexdigest()


def expert_ticks(env, ticks=TICKS, seed=SEED):
    """Actions of the expert from a reset on, and what each tick told; a state from halfway."""
    expert = make_expert(env)
    env.reset(seed=seed)
    actions, trace, state = [], [], None
    for tick in range(ticks):
        if tick == ticks // 2:
            state = env.snapshot()
        wanted = expert.action(env.robot_state(), env.privileged())
        actions.append(to_unit(wanted, env.action_mode))
        trace.append(told(env, env.step(actions[-1])))
    return actions, trace, state


def trace_elsewhere(task, choice):
    """The trace of a case; runs in a process of its own."""
    return expert_ticks(make(task, choice))[1]


@pytest.fixture(scope="module")
def elsewhere():
    """A spawned process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        yield pool


@pytest.mark.parametrize(("task", "choice"), CASES)
def test_the_same_bits_in_a_fresh_and_a_used_environment_in_another_process_and_from_a_snapshot(
    task, choice, elsewhere
):
    there = elsewhere.apply_async(trace_elsewhere, (task, choice))
    env, twin = make(task, choice), make(task, choice)
    actions, trace, state = expert_ticks(env)
    env.restore(state)
    assert [told(env, env.step(action)) for action in actions[HALF:]] == trace[HALF:]
    assert expert_ticks(env)[1] == trace
    twin.reset(seed=SEED)
    twin.restore(pickle.loads(pickle.dumps(state)))
    assert [told(twin, twin.step(action)) for action in actions[HALF:]] == trace[HALF:]
    assert there.get() == trace
    assert len(set(trace)) == TICKS
    env.close(), twin.close()


@pytest.mark.slow
@pytest.mark.parametrize(("task", "choice"), CASES)
def test_a_snapshot_amid_the_work_goes_on_with_the_same_bits(task, choice):
    env = make(task, choice, observation="state")
    actions, trace, state = expert_ticks(env, ticks=180)
    env.restore(state)
    assert [told(env, env.step(action)) for action in actions[90:]] == trace[90:]


@pytest.mark.slow
@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: "-".join(choice.values()))
def test_the_checkers_have_nothing_to_say(choice):
    from stable_baselines3.common.env_checker import check_env as check_sb3

    env = make("block_dismantling", choice)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env, skip_render_check=True)
        check_sb3(env)
    env.close()


def test_worlds_are_other_episodes_and_snapshots_do_not_mix():
    first, second = (make("block_dismantling", {"world": name}) for name in list(WORLDS)[:2])
    first.reset(seed=SEED), second.reset(seed=SEED)
    with pytest.raises(ConfigError, match="another episode"):
        second.restore(first.snapshot())
    first.close(), second.close()
