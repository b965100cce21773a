"""Bodies further along a chunk: what a head for `RollForward` is trained with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_store import META, sample

from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.data.chunk_store import ChunkStore
from xr0_sim.data.chunk_writer import ChunkWriter
from xr0_sim.model.spec.action_layout import decode_joints, decode_tools
from xr0_sim.model.spec.normalizer import Normalizer
from xr0_sim.training.body_source import RolledBody, RolledChunks, draw_rolls
from xr0_sim.training.chunk_tensors import ChunkTensors
from xr0_sim.types import RobotState

ROWS = np.arange(3)
SAME = Normalizer.identity(META.horizon)


def unit(quaternion):
    return quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True)


def jaws_of(store, row, roll):
    """As far as they are told to, from where they are."""
    command = store.column("command")[row].reshape(2, 7)[:, 6]
    told = store.column("actions")[row, roll - 1].reshape(2, 7)[:, 6]
    return np.clip(store.column("jaw")[row] + told - command, 0, 1)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("rolled")
    with ChunkWriter(root, META, "rolled") as writer:
        for seed in ROWS:
            made = sample(seed)
            robot = made["robot"]
            fields = RobotState.__dataclass_fields__
            measured = {name: getattr(robot, name) for name in fields}
            measured["tool_quat"] = unit(robot.tool_quat)
            tools = made["action_tools"]
            tools[..., 3:] = unit(tools[..., 3:])
            writer.add(**made | {"robot": RobotState(**measured), "action_tools": tools})
    return ChunkStore(root)


def test_nothing_executed_is_the_sample_as_it_is(store):
    plain = ChunkTensors.from_store(store, SAME, "extended")
    state, chunks, left = RolledChunks(store, SAME, "extended").batch(ROWS, 0 * ROWS)
    for found, expected in ((state, plain.state), (chunks, plain.actions)):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert left.tolist() == plain.valid_steps.tolist()


def test_rows_behind_the_executed_ones_keep_their_targets(store):
    rolls = np.array([1, 3, 2])
    _, chunks, left = RolledChunks(store, SAME, "extended").batch(ROWS, rolls)
    assert left.tolist() == (META.horizon - rolls).tolist()
    for row, roll in zip(ROWS, rolls, strict=True):
        actions = store.column("actions")[row]
        tools = store.column("action_tools")[row]
        arms = actions[roll - 1].reshape(2, 7)
        reached = RobotState(
            joint_pos=arms[:, :6],
            joint_vel=np.zeros((2, 6)),
            jaw=jaws_of(store, row, roll),
            tool_pos=tools[roll - 1, :, :3],
            tool_quat=tools[roll - 1, :, 3:],
            command=actions[roll - 1],
        )
        relative = chunks[row, : left[row]].numpy()
        found = decode_joints(relative, reached)
        np.testing.assert_allclose(found, actions[roll:], atol=1e-5)
        position, _, _ = decode_tools(relative, reached)
        np.testing.assert_allclose(position, tools[roll:, :, :3], atol=1e-5)
        assert (chunks[row, left[row] :] == 0).all()


def test_the_body_moves_as_its_last_two_commands_say(store):
    state, _, _ = RolledChunks(store, SAME, "motion").batch(ROWS, np.array([1, 2, 0]))
    arms = store.column("actions").reshape(len(ROWS), META.horizon, 2, 7)
    command = store.column("command").reshape(len(ROWS), 2, 7)
    left = state[:, :14].numpy()
    np.testing.assert_allclose(left[0, 7:13], arms[0, 0, 0, :6], atol=1e-5)
    np.testing.assert_allclose(
        left[0, 3:6], (arms[0, 0, 0, :3] - command[0, 0, :3]) * CONTROL_HZ, rtol=1e-4
    )
    np.testing.assert_allclose(
        left[1, 3:6], (arms[1, 1, 0, :3] - arms[1, 0, 0, :3]) * CONTROL_HZ, rtol=1e-4
    )
    np.testing.assert_allclose(left[2, 3:6], store.column("joint_vel")[2, 0, :3], rtol=1e-5)
    np.testing.assert_allclose(left[0, 13], arms[0, 0, 0, 6] - jaws_of(store, 0, 1)[0], atol=1e-5)


def test_rolls_are_drawn_end_at_commitments_and_leave_a_row():
    many = 40_000
    committed, recorded = torch.zeros(many, dtype=torch.long), torch.full((many,), 30)
    generator = torch.Generator().manual_seed(0)
    drawn = draw_rolls(RolledBody(0.75, 4), committed, recorded, generator)
    np.testing.assert_allclose(
        torch.bincount(drawn, minlength=5) / many, [0.25, *[0.1875] * 4], atol=0.01
    )
    own = torch.tensor([3, 5, 0, 2])
    ends = draw_rolls(RolledBody(1.0, 4), own, torch.tensor([30, 30, 1, 2]), generator).tolist()
    assert ends[0] == 3 and 1 <= ends[1] <= 4 and ends[2:] == [0, 1]
    within = [
        draw_rolls(RolledBody(0.5, 4), own, recorded[:4], generator, prefixed=True)
        for _ in range(200)
    ]
    reached = [set(column.tolist()) for column in torch.stack(within, 1)]
    assert reached == [{0, 1, 2, 3}, {0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}, {0, 1, 2}]
