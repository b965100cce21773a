"""Bricks, clutches, sorting, events and the privileged view of block dismantling."""

import mujoco
import numpy as np
import pytest

import envs.block_dismantling.events  # noqa: F401
from envs.block_dismantling.assembly import (
    PRESETS,
    Level,
    is_connected,
    is_stable,
    sample_assembly,
)
from envs.block_dismantling.bricks import COLOURS, Brick, add_brick
from envs.block_dismantling.clutch import Clutches, add_clutches, find_interfaces
from envs.block_dismantling.env import BlockDismantlingEnv
from envs.block_dismantling.grasp_clearance import dismantling_order
from envs.block_dismantling.instructions import sample_rule, write_instruction
from envs.block_dismantling.state import BlockState
from envs.camera_labels import picture_points
from envs.scene.stage import base_scene
from policies.scripted.blocks.expert import BlockExpert
from xr0_sim.errors import ConfigError


@pytest.fixture(scope="module")
def env():
    return BlockDismantlingEnv(n_bricks=2, observation="state")


def levels():
    return [Level(n) for n in (1, 2, 3, 4, 7, 10, 20)] + [
        Level(n, layout) for n, layout in PRESETS.values()
    ]


@pytest.mark.parametrize("level", levels(), ids=str)
def test_assemblies_are_connected_stable_and_dismantlable(level):
    for seed in range(5):
        bricks = sample_assembly(np.random.default_rng(seed), level)
        assert len(bricks) == level.n_bricks
        assert is_connected(bricks)
        assert is_stable(bricks)
        assert sorted(dismantling_order(bricks)) == list(range(level.n_bricks))
        cells = [
            (x, y, b.layer)
            for b in bricks
            for x in range(b.cell[0], b.cell[0] + b.size[0])
            for y in range(b.cell[1], b.cell[1] + b.size[1])
        ]
        assert len(cells) == len(set(cells))


def clutch_rig(size):
    """Two bricks, the lower one fixed, without gravity."""
    bricks = (Brick("red", size, (0, 0), 0), Brick("blue", size, (0, 0), 1))
    faces = find_interfaces(bricks)
    spec = base_scene("rig", 1 / 600)
    spec.option.gravity = [0, 0, 0]
    origin = np.array([0.0, 0.0, 0.3])
    for i, brick in enumerate(bricks):
        add_brick(spec, i, brick, origin)
    spec.delete(spec.joint("brick0"))
    add_clutches(spec, bricks, faces)
    model = spec.compile()
    return model, mujoco.MjData(model), Clutches(model, faces), faces[0]


def ramp(size, direction, moment, rate, limit):
    """Raises a wrench on the upper brick until the clutch opens; returns its size then."""
    model, data, clutches, face = clutch_rig(size)
    body = model.body("brick1").id
    lever = data.xpos[body] * 0
    mujoco.mj_forward(model, data)
    lever = data.xipos[body] - np.array([*face.centre[:2], face.centre[2] + 0.3])
    load = 0.0
    for step in range(100_000):
        load += rate * model.opt.timestep
        force, torque = load * np.array(direction, float), load * np.array(moment, float)
        data.xfrc_applied[body, :3] = force
        data.xfrc_applied[body, 3:] = torque - np.cross(lever, force)
        mujoco.mj_step(model, data)
        if step % 10 == 9 and clutches.break_overloaded(data):
            return load
        if load > 3 * limit:
            break
    pytest.fail("the clutch never opened")


@pytest.mark.parametrize("size", [(2, 2), (2, 4)])
def test_clutch_opens_at_the_set_pull(size):
    face = clutch_rig(size)[3]
    opened = ramp(size, (0, 0, 1), (0, 0, 0), 2.0, face.tension_limit)
    assert opened == pytest.approx(face.tension_limit, rel=0.15)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("size", [(1, 2), (2, 2), (2, 4)])
def test_clutch_opens_at_the_set_peeling_moment(size, axis):
    limit = clutch_rig(size)[3].peel_limits[axis]
    opened = ramp(size, (0, 0, 0), np.eye(3)[axis], 0.04, limit)
    assert opened == pytest.approx(limit, rel=0.15)


def test_a_long_interface_resists_tilting_over_its_short_edge():
    narrow, wide = clutch_rig((2, 4))[3].peel_limits[[1, 0]]
    assert wide == 2 * narrow


def test_clutch_ignores_compression():
    model, data, clutches, face = clutch_rig((2, 2))
    body = model.body("brick1").id
    data.xfrc_applied[body, 2] = -10 * face.tension_limit
    for _ in range(200):
        mujoco.mj_step(model, data)
        assert not clutches.break_overloaded(data)


def test_lifting_an_unheld_assembly_does_not_open_it(env):
    env.reset_scene(0)
    assert env.privileged().joined.any()
    for _ in range(60):
        env.advance(env._home)
    assert env.privileged().joined.any()


@pytest.mark.parametrize("n_bricks", [1, 2, 5])
def test_privileged_vector_round_trip(n_bricks):
    env = BlockDismantlingEnv(n_bricks=n_bricks, observation="state")
    env.reset_scene(4)
    state = env.privileged()
    back = BlockState.from_vector(state.to_vector(), n_bricks)
    for name in ("pos", "quat", "half_size", "target", "sorted", "in_bin", "joined", "gripped"):
        assert np.allclose(getattr(state, name), getattr(back, name), atol=1e-6), name
    assert np.allclose(state.bins, back.bins, atol=1e-6)


def test_instruction_states_the_rule():
    for seed in range(50):
        rng = np.random.default_rng(seed)
        rule = sample_rule(rng)
        assert set(rule.values()) == {0, 1}
        text = write_instruction(rng, rule, ("left bin", "right bin"))
        left, right = text.find("left bin"), text.find("right bin")
        for colour, target in rule.items():
            place = text.find(colour)
            own, other = (left, right) if target == 0 else (right, left)
            # A colour is named before its own bin and not between that and the other one.
            assert place < own
            assert not own < place < other
            assert own < other or place > other


def test_rule_option_is_checked(env):
    with pytest.raises(ConfigError, match="red"):
        env.reset_scene(0, {"rule": {"redd": "left"}})
    with pytest.raises(ConfigError, match="missing"):
        env.reset_scene(0, {"rule": {"red": "left"}})
    env.reset_scene(0, {"rule": dict.fromkeys(("red", "yellow", "blue", "green"), "right")})
    assert (env.targets == 1).all()


def play(env, seed, options=None, ticks=600):
    expert = BlockExpert(env.kinematics)
    env.reset_scene(seed, options)
    fired, info = [], {}
    for _ in range(ticks):
        _, terminated, _, info = env.advance(expert.action(env.robot_state(), env.privileged()))
        fired += info["events"]
        if terminated:
            break
    return info, fired


@pytest.mark.parametrize(
    "event",
    ["shove", "shove_brick", "swap_bins", "reattach", "drop", "change_instruction", "move_light"],
)
def test_events_fire_once_and_are_logged(env, event):
    info, fired = play(env, 1, {"events": [event]})
    assert len(fired) == 1
    assert fired[0].kind == event
    assert info["success"], info["bricks"]


def test_event_twin_is_identical_until_the_event(env):
    expert = BlockExpert(env.kinematics)
    traces = []
    for events in ([], ["shove"]):
        env.reset_scene(3, {"events": events})
        rows, fired_at = [], None
        for tick in range(40):
            _, _, _, info = env.advance(expert.action(env.robot_state(), env.privileged()))
            fired_at = tick if info["events"] else fired_at
            rows.append(env.data.qpos.copy())
        traces.append((np.array(rows), fired_at))
    at = traces[1][1]
    assert at is not None
    assert np.array_equal(traces[0][0][:at], traces[1][0][:at])
    assert not np.array_equal(traces[0][0][at], traces[1][0][at])


def test_change_of_instruction_changes_the_goal(env):
    env.reset_scene(2, {"events": ["change_instruction@tick:3"]})
    before, text = env.targets.copy(), env.instruction
    for _ in range(5):
        env.advance(env._home)
    assert env.instruction != text
    assert (env.targets != before).any()


def test_swapped_bins_matter_only_to_instructions_by_colour():
    for style, changes in (("side", False), ("colour", True)):
        env = BlockDismantlingEnv(n_bricks=2, observation="state", instruction_style=style)
        env.reset_scene(5, {"events": ["swap_bins@tick:1"]})
        before, text = env.targets.copy(), env.instruction
        for _ in range(3):
            env.advance(env._home)
        assert env.instruction == text
        assert (env.targets != before).all() == changes


def test_snapshot_covers_broken_clutches_and_events(env):
    expert = BlockExpert(env.kinematics)
    env.reset_scene(0, {"events": ["shove"]})
    while env.phase != "pull":
        env.advance(expert.action(env.robot_state(), env.privileged()))
    state = env.snapshot()
    runs = []
    for _ in range(2):
        env.restore(state)
        for _ in range(60):
            env.advance(expert.action(env.robot_state(), env.privileged()))
        runs.append((env.data.qpos.tobytes(), env.privileged().joined.any()))
    assert runs[0] == runs[1]
    env.restore(state)
    assert env.privileged().joined.any()


def test_picture_points_fall_on_what_is_drawn():
    env = BlockDismantlingEnv(n_bricks=2, image_size=256)
    seen = 0
    for seed in range(4):
        env.reset_scene(seed)
        state, image = env.privileged(), env.camera_images()["base"]
        top = int(state.pos[:, 2].argmax())
        u, v, inside = picture_points(env, {"top": state.pos[top]})["top"][0]
        assert inside
        pixel = image[int(v * 256), int(u * 256)].astype(float)
        colour = np.array(COLOURS[env.bricks[top].colour][:3])
        seen += np.corrcoef(pixel, colour)[0, 1] > 0.9
    assert seen == 4


def test_dense_and_sparse_newton_agree_or_we_stay_dense():
    """MuJoCo 4.0.0's sparse Newton is wrong; the scene must use the dense one."""
    env = BlockDismantlingEnv(n_bricks=10, observation="state")
    env.reset_scene(0)
    assert env.model.opt.jacobian == int(mujoco.mjtJacobian.mjJAC_DENSE)
    for _ in range(5):
        env.advance(env._home)
    model, data = env.model, env.data
    accelerations = []
    for jacobian, solver in (
        (mujoco.mjtJacobian.mjJAC_DENSE, mujoco.mjtSolver.mjSOL_NEWTON),
        (mujoco.mjtJacobian.mjJAC_DENSE, mujoco.mjtSolver.mjSOL_CG),
    ):
        model.opt.jacobian, model.opt.solver = int(jacobian), int(solver)
        model.opt.iterations, model.opt.tolerance = 500, 1e-12
        data.qacc_warmstart[:] = 0
        mujoco.mj_forward(model, data)
        accelerations.append(data.qacc.copy())
    scale = np.abs(accelerations[0]).max()
    assert np.abs(accelerations[0] - accelerations[1]).max() < 0.02 * scale + 0.05


@pytest.mark.parametrize("n_bricks", [2, 6])
def test_what_is_written_in_place_is_what_the_state_says(n_bricks):
    env = BlockDismantlingEnv(n_bricks=n_bricks, observation="state")
    expert = BlockExpert(env.kinematics)
    env.reset_scene(1)
    for _ in range(60):
        state = env.privileged()
        assert env.privileged_vector().tobytes() == state.to_vector().tobytes()
        env.advance(expert.action(env.robot_state(), state))
