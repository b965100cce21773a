"""What weights were not trained on is refused, and loading them leaves torch's state alone."""

from __future__ import annotations

import warnings

import gymnasium
import numpy as np
import pytest
import torch

from assets import CHECKPOINT_DIR
from envs import ENV_IDS
from envs.robot.actions import from_unit, limit_step, tool_to_joint_action
from envs.robot.kinematics import DualArmKinematics
from experiments.commands.rollout import RolloutConfig
from experiments.options.network_options import WeightOptions
from policies import XR0Policy
from policies.xr0.checkpoints import default_checkpoint
from policies.xr0.execution import execution_horizon_for
from policies.xr0.fit import check_instruction, longest_prefix_of
from policies.xr0.loading import load_chunk_model
from xr0_sim.errors import ConfigError
from xr0_sim.model.checkpoints.manifest import read_manifest, record_shared
from xr0_sim.model.network_options import NetworkOptions
from xr0_sim.runtime import Constant, NaiveAsync, PrefixAsync, Sync
from xr0_sim.runtime.strategies.pipelined import Pipelined
from xr0_sim.runtime.strategies.prefix_async import EstimatedPrefix
from xr0_sim.runtime.strategies.roll_forward import RollForward
from xr0_sim.runtime.strategies.two_rate import TwoRate

BLOCKS, TOWEL = "block_dismantling", "towel_folding"


def make_env(task=BLOCKS, **kwargs):
    level = {"n_bricks": 2} if task == BLOCKS else {"grid": 9}
    settings = {"observation": "pixels", "image_size": 128, **level}
    return gymnasium.make(ENV_IDS[task], **settings | kwargs)


@pytest.fixture(scope="module")
def seen():
    """First pixel observation of a scene of bricks."""
    env = make_env()
    observation, _ = env.reset(seed=0)
    env.close()
    return observation


@pytest.fixture(scope="module")
def prefix_model():
    return load_chunk_model(BLOCKS, "prefix")


def test_pictures_of_another_size_are_refused(seen):
    small = {k: v[::2, ::2] if k.startswith("image_") else v for k, v in seen.items()}
    policy = XR0Policy(BLOCKS)
    with pytest.raises(ConfigError, match=r"expected pictures of 128 x 128 px.*got 64 x 64 x 3"):
        policy.predict(small)
    with pytest.raises(ConfigError, match=r"image_size: expected 128"):
        policy.watch(make_env(image_size=64))


def test_another_action_mode_is_refused(seen):
    policy = XR0Policy(BLOCKS)
    with pytest.raises(ConfigError, match=r"action_mode: expected 'joint'.*got 'tool'"):
        policy.watch(make_env(action_mode="tool"))
    policy.watch(make_env())
    env = make_env(action_mode="tool", observation="state")
    for _ in range(2):
        policy = XR0Policy(BLOCKS)
        state, _ = env.reset(seed=0)
        with pytest.raises(ConfigError, match=r"expected an environment with action_mode='joint'"):
            for _ in range(4):
                action, _ = policy.predict(seen | {"proprio": state["proprio"]})
                state, *_ = env.step(action)


def test_the_right_mode_passes_and_standing_still_is_no_proof(seen):
    policy = XR0Policy(BLOCKS)
    env = make_env(observation="state")
    state, _ = env.reset(seed=0)
    for _ in range(7):
        action, _ = policy.predict(seen | {"proprio": state["proprio"]})
        state, *_ = env.step(action)
    policy = XR0Policy(BLOCKS)
    for _ in range(7):
        policy.predict(seen)


def test_another_task_is_refused_by_name_by_environment_and_by_its_words(seen):
    with pytest.raises(ConfigError, match=r"env 'towel_folding', got one for 'block_d"):
        XR0Policy(BLOCKS, task=TOWEL)
    with pytest.raises(ConfigError, match=r"trained for env 'towel_folding'"):
        load_chunk_model(BLOCKS, task=TOWEL)
    with pytest.raises(ConfigError, match=r"task: expected 'block_dismantling'.*got 'towel_fo"):
        XR0Policy(BLOCKS).watch(make_env(TOWEL))
    with pytest.raises(ConfigError, match=r"instruction .* got one for 'block_dismantling'"):
        XR0Policy(TOWEL).predict(seen)


@pytest.mark.parametrize(
    ("task", "level"), [(BLOCKS, {}), (TOWEL, {"level": "half"}), (TOWEL, {"level": "full"})]
)
def test_instructions_of_the_own_task_pass_and_those_of_the_other_do_not(task, level):
    other = TOWEL if task == BLOCKS else BLOCKS
    own, foreign = (read_manifest(CHECKPOINT_DIR / name) for name in (task, other))
    env = make_env(task, observation="state", **level)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(6):
            text = env.reset(seed=seed)[1]["instruction"]
            check_instruction(own, text)
            with pytest.raises(ConfigError, match=f"got one for {task!r}"):
                check_instruction(foreign, text)


def test_an_instruction_without_a_familiar_word_is_one_warning():
    record = read_manifest(CHECKPOINT_DIR / BLOCKS)
    with pytest.warns(UserWarning, match=r"no word that the checkpoint"):
        check_instruction(record, "mach sauber")
    check_instruction(record, "please put everything away")


def test_a_prefix_longer_than_trained_is_refused(prefix_model, seen):
    longest = TwoRate(longest_prefix=7), Pipelined(longest_prefix=8)
    for strategy in (PrefixAsync(5, 7), PrefixAsync(5, EstimatedPrefix(longest=9)), *longest):
        assert longest_prefix_of(strategy) > prefix_model.prefix_max
        with pytest.raises(ConfigError, match=r"expected a prefix of at most 6 rows.*'prefix'"):
            XR0Policy(BLOCKS, "prefix", strategy)
        with pytest.raises(ConfigError, match=r"lower prefix_steps"):
            WeightOptions().weights_of(BLOCKS, "xr0", strategy, "prefix", "0.1")
    assert longest_prefix_of(Pipelined()) == 0
    assert longest_prefix_of(Sync()) == longest_prefix_of(NaiveAsync()) == 0


def test_a_head_without_prefix_training_gets_one_warning(seen, capsys):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        policy = XR0Policy(BLOCKS, "sync", PrefixAsync(2), Constant(0.05))
        for _ in range(8):
            policy.predict(seen)
    assert [str(w.message)[:48] for w in said] == [
        "head 'sync' was trained without a prefix and get"
    ]
    for _ in range(2):
        assert (
            WeightOptions().weights_of(BLOCKS, "xr0", PrefixAsync(4), "sync", "0.1").head == "sync"
        )
    assert capsys.readouterr().err.count("trained without a prefix") == 1


def test_the_command_line_refuses_the_checkpoint_of_another_task():
    with pytest.raises(ConfigError, match=r"--env block_dismantling"):
        WeightOptions(checkpoint=BLOCKS).weights_of(TOWEL, "xr0", Sync(), None, "0.1")


def test_a_strategy_takes_the_head_trained_for_it_or_the_next_best(capsys):
    def head(strategy, world, task=BLOCKS):
        return WeightOptions().weights_of(task, "xr0", strategy, None, world).head

    assert head(RollForward(), "0.2") == head(RollForward(), "0.2", TOWEL) == "rolled"
    assert head(RollForward(), "0.1") == "sync"
    assert head(TwoRate(), "0.2") == head(TwoRate(), "0.2", TOWEL) == "prefix_refreshed"
    assert head(PrefixAsync(8), "0.1") == "prefix_lambda"
    assert head(Pipelined(longest_prefix=6), "0.2") == "prefix_lambda"
    assert head(Pipelined(), "0.2") == "sync"
    assert TwoRate().head_among(["sync"]) == "prefix_refreshed"  # refused later, with what there is


def test_weights_of_another_world_are_told_about_once(capsys):
    for world, told in (("0.1", 0), ("0.2", 1), ("0.2", 1)):
        RolloutConfig(world=world).condition()
        assert capsys.readouterr().err.count("choose --world 0.1") <= told
    with pytest.warns(UserWarning, match=r"trained in world 0\.1, acts in world 0\.2"):
        XR0Policy(BLOCKS, "sync").watch(make_env(world="0.2"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        XR0Policy(BLOCKS, "sync").watch(make_env(world="0.1"))


def test_the_execution_horizon_is_the_checkpoints():
    assert [execution_horizon_for(name) for name in (BLOCKS, TOWEL, None)] == [20, 8, 20]


def test_loading_leaves_the_random_state_and_the_default_dtype(seen):
    wanted = None
    for before, after in ((None, None), (torch.float64, None), (None, torch.float64)):
        try:
            torch.set_default_dtype(before or torch.float32)
            state = torch.get_rng_state()
            policy = XR0Policy(BLOCKS)
            assert torch.equal(state, torch.get_rng_state())
            assert torch.get_default_dtype() == (before or torch.float32)
            if after is not None:
                torch.set_default_dtype(after)
            action, _ = policy.predict(seen)
        finally:
            torch.set_default_dtype(torch.float32)
        wanted = action if wanted is None else wanted
        assert action.tobytes() == wanted.tobytes()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"temperature": 1.5}, "temperature: expected 0 .. 1"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": "0"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"precision": "float16"}, "precision"),
        ({"vlm_weights": "int3"}, "int4"),
    ],
)
def test_network_options_are_checked_where_they_are_built(options, expected):
    with pytest.raises(ConfigError, match=expected):
        NetworkOptions(**options)
    with pytest.raises(ConfigError, match=expected):
        load_chunk_model(BLOCKS, **options)


def test_the_mode_look_up_tells_the_modes_apart():
    command = make_env(observation="state").unwrapped._home
    unit = np.linspace(-0.3, 0.3, 14)
    joint = limit_step(from_unit(unit), command)
    tool = tool_to_joint_action(from_unit(unit, "tool"), command, DualArmKinematics())
    assert np.abs(joint - limit_step(tool, command)).max() > 1e-2


def test_of_two_policies_of_a_task_the_one_of_the_world_is_taken(monkeypatch, tmp_path):
    worlds = {"blocks": None, "blocks_later": "0.2", "towels": "0.1"}
    for name, world in worlds.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        record_shared(tmp_path / name, (), TOWEL if name == "towels" else BLOCKS, world=world)
    monkeypatch.setattr("policies.xr0.checkpoints.CHECKPOINT_DIR", tmp_path)
    monkeypatch.setattr("policies.xr0.checkpoints.checkpoint_names", lambda: sorted(worlds))
    assert default_checkpoint(BLOCKS) == "blocks"
    assert default_checkpoint(BLOCKS, "0.1") == "blocks"
    assert default_checkpoint(BLOCKS, "0.2") == "blocks_later"
    assert default_checkpoint(BLOCKS, "0.9") == "blocks"
    assert default_checkpoint(TOWEL, "0.2") == "towels"
