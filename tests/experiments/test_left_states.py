"""Where failed episodes ended: kept without weights, and gone on from by the expert."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from envs.tasks import make_env
from experiments.cli import main
from experiments.datagen.left_states import (
    begin_in,
    find_left_state,
    read_left_states,
    write_left_states,
)
from experiments.runner.episode_rows import log_path
from xr0_sim.errors import DatasetError
from xr0_sim.perturb.registry import parse_events
from xr0_sim.record.ticklog import read_ticklog

ENV = "block_dismantling:n_bricks=2"
FIXTURE = Path(__file__).parents[1] / "fixtures" / "left_states_blocks.npz"


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("left") / "run"
    words = f"rollout --env {ENV} --policy oracle --episodes 2 --seed 701 --max-seconds 2"
    assert (
        main([*words.split(), "--event", "teleport@tick:8", "--no-video", "--out", str(out)]) == 0
    )
    return out


@pytest.fixture(scope="module")
def states(run_folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("states") / "left.npz"
    assert main(["left-states", str(run_folder), "--out", str(path)]) == 0
    return path


def test_the_state_is_the_one_the_episode_ended_in(run_folder, states):
    found = read_left_states(states)
    assert [state.seed for state in found.states] == [701, 702]
    env = make_env(found.env, **found.env_kwargs)
    begin_in(env, found.states[0])
    log = read_ticklog(log_path(run_folder, 701))
    last, next_to_last = log["action"][-1], log["joint_pos"][-1]
    robot = env.robot_state()
    assert env.tick == 0 and env.data.time == 0.0
    np.testing.assert_array_equal(robot.command, last)
    # Proprioception in the log is that of the last tick's start.
    assert np.abs(robot.joint_pos.ravel() - next_to_last).max() < 0.1
    fresh = make_env(found.env, **found.env_kwargs)
    fresh.reset_scene(701)
    assert np.abs(env.privileged().pos - fresh.privileged().pos).max() > 0.02
    env.close()
    fresh.close()


def test_the_expert_goes_on_from_there(states, capsys):
    assert main(["expert-eval", "--states", str(states), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["requested"] == found["n"] == 2
    assert found["success"]["value"] == 1.0


def test_states_of_another_scene_and_damaged_files_are_one_line(states, tmp_path, capsys):
    found = read_left_states(states)
    other = tmp_path / "other.npz"
    write_left_states(
        type(found)(found.env, {**found.env_kwargs, "n_bricks": 3}, found.states), other
    )
    assert main(["expert-eval", "--states", str(other)]) == 2
    assert "expected physics of shape" in capsys.readouterr().err
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(states.read_bytes()[:200])
    assert main(["expert-eval", "--states", str(damaged)]) == 2
    assert "xr0-sim left-states" in capsys.readouterr().err
    assert main(["expert-eval", "--states", str(states), "--seed", "3"]) == 2
    assert "leave --event" in capsys.readouterr().err


def test_nothing_is_written_over(run_folder, states, capsys):
    before = states.read_bytes()
    assert main(["left-states", str(run_folder), "--out", str(states)]) == 2
    assert "--replace" in capsys.readouterr().err
    assert states.read_bytes() == before


def test_what_policies_left_behind_can_be_begun_in():
    """29 states that failed episodes of the first policies of world 0.2 ended in."""
    found = read_left_states(FIXTURE)
    assert len(found.states) == 29 and found.env == "block_dismantling"
    env = make_env(found.env, **found.env_kwargs)
    for state in (found.states[0], found.states[-1]):
        begin_in(env, state)
        assert not env.privileged().sorted.all()
        np.testing.assert_array_equal(env.robot_state().command, state.command)
    env.close()


def test_a_log_that_the_simulator_does_not_bear_out_leaves_no_state(run_folder):
    table = read_ticklog(log_path(run_folder, 701))
    joints = table["joint_pos"].copy()
    joints[30] += 1e-6
    other = replace(table, columns={**table.columns, "joint_pos": joints})
    env = make_env("block_dismantling", n_bricks=2)
    with pytest.raises(DatasetError, match="seed 701, tick 30"):
        find_left_state(env, 701, parse_events(["teleport@tick:8"]), other)
    env.close()
