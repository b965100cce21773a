"""``bench physics``: what is recorded is what happens, and recording it changes nothing."""

import json

import mujoco
import numpy as np
import pytest

from envs.block_dismantling.env import BlockDismantlingEnv
from envs.robot.facts import JOINTS
from envs.scene.stage import TABLE_HALF_SIZE
from envs.snapshot import physics_state
from envs.towel_folding.cloth import mesh_edges, rest_grid
from envs.towel_folding.condition import edge_strain
from envs.towel_folding.env import TowelFoldingEnv
from experiments.benchmarks.physics.blocks import BlockLog
from experiments.benchmarks.physics.contacts import ContactLog
from experiments.benchmarks.physics.energy import EnergyLog
from experiments.benchmarks.physics.episode import PhysicsLog, WatchedEpisode, watch_episode
from experiments.benchmarks.physics.figure import Figure, median, share_late
from experiments.benchmarks.physics.joints import JointLog
from experiments.benchmarks.physics.limits import FIGURES, SUCCESS
from experiments.benchmarks.physics.relaxation import measure_relaxation, wrinkled
from experiments.benchmarks.physics.table import measures
from experiments.benchmarks.physics.towel import TowelLog, beyond_support, pad_distance
from experiments.cli import main
from policies.scripted.experts import make_expert

TWO_BODIES = """
<mujoco>
  <option timestep="0.002" cone="elliptic"/>
  <worldbody>
    <geom name="table" type="plane" size="1 1 0.1"/>
    <body name="{one}" pos="0 0 {height}">
      <freejoint/>
      <geom type="box" size="0.05 0.05 0.05" mass="2"/>
    </body>
    <body name="{other}" pos="0.5 0 {height}">
      <freejoint/>
      <geom type="box" size="0.05 0.05 0.05" mass="1"/>
    </body>
  </worldbody>
</mujoco>
"""


def two_bodies(one, other, height=0.05):
    model = mujoco.MjModel.from_xml_string(TWO_BODIES.format(one=one, other=other, height=height))
    return model, mujoco.MjData(model)


def played(env, ticks, watched):
    expert = make_expert(env)
    env.reset_scene(3)
    log = PhysicsLog(env) if watched else None
    for _ in range(ticks):
        env.advance(expert.action(env.robot_state(), env.privileged()))
        if log is not None:
            log.tick()
    return physics_state(env.model, env.data).tobytes(), log


@pytest.mark.parametrize(
    ("env", "ticks"),
    [
        (BlockDismantlingEnv(observation="state"), 25),
        (TowelFoldingEnv(observation="state", grid=9), 25),
    ],
    ids=["blocks", "towel"],
)
def test_watching_an_episode_changes_no_bit_of_it(env, ticks):
    watched, log = played(env, ticks, watched=True)
    assert log is not None and log.figures()["speed_ratio"] > 0.0
    unwatched, _ = played(env, ticks, watched=False)
    assert watched == unwatched


def test_every_substep_is_seen_until_nobody_watches():
    env = BlockDismantlingEnv(observation="state")
    env.reset_scene(0)
    rest, times = env.robot_state().command, []
    env.watch_physics(lambda: times.append(env.data.time))
    env.advance(rest)
    assert len(times) == env.substeps
    assert np.diff(times) == pytest.approx(env.timestep_s)
    env.watch_physics(None)
    env.advance(rest)
    assert len(times) == env.substeps


def test_the_depth_of_a_contact_goes_to_its_pair():
    model, data = two_bodies("brick0", "left/left_finger", height=0.047)
    log = ContactLog(model)
    mujoco.mj_forward(model, data)
    log.read(data)
    found = log.figures()
    assert found["depth_brick_table_mm"] == pytest.approx(3.0)
    assert found["depth_finger_table_mm"] == pytest.approx(3.0)
    assert found["depth_finger_brick_mm"] == 0.0
    assert "depth_cloth_table_mm" not in found  # there is none


@pytest.mark.parametrize(
    ("one", "finger"), [("left/left_finger", 20.0), ("left/wrist", 0.0), ("brick0", 0.0)]
)
def test_a_resting_weight_is_the_force_that_is_told(one, finger):
    model, data = two_bodies(one, "brick1")
    model.opt.gravity[:] = 0.0, 0.0, -10.0
    mujoco.mj_step(model, data, 800)
    log = ContactLog(model)
    log.read(data)
    found = log.figures()
    assert found["force_finger_table_n"] == pytest.approx(finger, rel=1e-3)
    assert found["force_arm_n"] == pytest.approx(20.0 if "left" in one else 0.0, rel=1e-3)


def test_what_an_arm_does_to_itself_is_no_force_on_it_but_the_other_arm_is():
    for other, depth in (("left/right_finger", 0.0), ("right/left_finger", 4.0)):
        model, data = two_bodies("left/left_finger", other, height=1.0)
        data.qpos[7] = 0.096
        mujoco.mj_forward(model, data)
        log = ContactLog(model)
        log.read(data)
        found = log.figures()
        assert found["depth_arm_arm_mm"] == pytest.approx(depth)
        assert (found["force_arm_n"] > 1.0) == (depth > 0.0)


def test_joints_beyond_their_speed_and_at_their_torque():
    env = BlockDismantlingEnv(observation="state")
    env.reset_scene(0)
    log, dof = JointLog(env.model), env.model.joint("right/elbow").dofadr[0]
    env.data.qvel[:] = 0.0
    env.data.qvel[dof] = -1.5 * JOINTS["elbow"].speed
    env.data.qfrc_actuator[dof] = JOINTS["elbow"].torque
    log.read(env.data)
    env.data.qfrc_actuator[dof] = 0.5 * JOINTS["elbow"].torque
    log.read(env.data)
    assert log.figures() == {
        "speed_ratio": pytest.approx(1.5),
        "torque_limit_share": 0.5,
        "torque_limit_joint": "right/elbow",
    }


def test_energy_from_nowhere_is_noticed_and_free_fall_is_none():
    model, data = two_bodies("brick0", "brick1", height=5.0)
    log = EnergyLog(model)
    for _ in range(50):
        mujoco.mj_step(model, data)
        log.read(data)
    assert log.figures()["energy_gain_j"] < 1e-3
    data.qvel[2] -= 1.0
    for _ in range(2):
        mujoco.mj_step(model, data)
        log.read(data)
    assert log.figures()["energy_gain_j"] > 0.1


def test_a_clutch_is_told_with_the_load_at_which_it_opened():
    env = BlockDismantlingEnv(observation="state")
    env.reset_scene(0)
    log = BlockLog(env)
    env.watch_physics(log.substep)
    brick = env.model.body("brick1").id
    rest, pull = env.robot_state().command, 0.0
    while not log.figures()["break_loads"] and pull < 40.0:
        env.data.xfrc_applied[brick, 2] = pull
        env.advance(rest)
        log.tick()
        pull += 0.2
    (load,) = log.figures()["break_loads"]
    assert 1.0 <= load < 1.3


def test_strain_of_a_stretched_towel():
    env = TowelFoldingEnv(observation="state")
    env.reset_scene(0)
    log = TowelLog(env)
    flat = np.column_stack([rest_grid(env.cloth.grid), np.full(env.cloth.grid**2, 0.003)])
    env._towel.place(env.data, flat * [1.2, 0.9, 1.0])
    mujoco.mj_kinematics(env.model, env.data)
    log.tick()
    found = log.figures()
    assert found["stretch_percent"] == pytest.approx(20.0, abs=0.1)
    assert found["compression_percent"] == pytest.approx(10.0, abs=0.1)
    assert found["point_below_table_mm"] == 0.0 and found["ends_crossed"] == 0.0


def test_only_points_that_lie_on_nothing_are_unsupported():
    x, _ = TABLE_HALF_SIZE
    points = np.array([[x - 0.01, 0, 0.003], [x + 0.05, 0, 0.003], [x + 0.05, 0, -0.05]])
    assert beyond_support(points).tolist() == [False, True, False]


def test_wrinkles_are_as_long_as_the_cloth_and_relaxation_is_told():
    points = wrinkled(13)
    edges, flat = mesh_edges(13), rest_grid(13)
    along = np.ptp(flat[edges], axis=1).min(axis=1) < 1e-9  # sides of the squares, not diagonals
    assert edge_strain(points, 13)[along] == pytest.approx(0.0, abs=1e-9)
    found = measure_relaxation({"grid": 9, "world": "0.1"}, 0)
    assert set(found) == {f"wrinkle_{s}s_mm" for s in ("0", "0.2", "1", "2", "3")}
    assert found["wrinkle_0s_mm"] > 25.0 > found["wrinkle_0.2s_mm"] >= found["wrinkle_3s_mm"]


def test_distance_from_a_pad():
    turned = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    points = np.array([[0.0, 0.0, 0.0], [0.0, 0.05, 0.0], [0.03, 0.0, 0.0], [1.0, 0.02, 0.0]])
    middles, sizes = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]), np.full((2, 3), 0.01)
    sizes[0, 0] = 0.02  # the box is turned, so along y
    found = pad_distance(points, middles, np.array([turned, np.eye(3)]), sizes)
    assert found == pytest.approx([0.0, 0.03, 0.02, 0.01])


@pytest.mark.parametrize("at_pad", [True, False])
def test_squashed_edges_and_sunk_points_are_told_apart_by_whether_they_are_in_a_grasp(at_pad):
    env = TowelFoldingEnv(observation="state", grid=9)
    env.reset_scene(0)
    log = TowelLog(env)
    points = np.column_stack([rest_grid(9), np.full(81, 0.003)])
    points[0] += (0.0075, 0.0, -0.005)
    env._towel.place(env.data, points)
    mujoco.mj_kinematics(env.model, env.data)
    if at_pad:
        env.data.geom_xpos[env.model.geom("left/left_pad").id] = points[0]
    log.tick()
    found = log.figures()
    assert found["compression_percent"] == pytest.approx(20.0, abs=3.0)
    assert found["point_below_table_mm"] == pytest.approx(2.0)
    assert found["squashed_at_pad_share"] == float(at_pad)
    assert (found["free_compression_percent"] < 1.0) == at_pad
    assert found["free_point_below_table_mm"] == pytest.approx(0.0 if at_pad else 2.0)
    assert found["squashed_ticks_share"] == 1.0 > 0.05 > found["squashed_edges_share"] > 0.0


def test_a_figure_pools_samples_and_is_left_out_where_nobody_saw_it():
    rows = [{"loads": [1.0, 1.2]}, {"loads": [1.3]}, {}]
    late = Figure("late", "late", "%", of="loads", over=share_late, limit=10.0)
    measure = late.measure(rows)
    assert measure.value == pytest.approx(200 / 3) and measure.n == 3 and measure.met is False
    assert Figure("loads", "loads", over=median).measure(rows).value == pytest.approx(1.2)
    assert Figure("other", "other").measure(rows) is None


def test_every_limit_has_a_reason_and_every_name_is_there_once():
    assert all(figure.reason for figure in FIGURES if figure.limit is not None)
    assert len({figure.name for figure in FIGURES}) == len(FIGURES)


@pytest.mark.parametrize(("done", "met"), [(10, True), (9, True), (5, False)])
def test_success_must_reach_its_limit_with_the_interval(done, met):
    rows = [{"success": k < done} for k in range(10)]
    found = measures("block_dismantling", {"n_bricks": 2}, rows)[0]
    assert found.target == SUCCESS["block_dismantling"]({"n_bricks": 2}) and found.met is met
    assert found.low < found.value <= found.high


def test_the_file_holds_figures_limits_and_episodes(tmp_path, capsys):
    out = tmp_path / "physics.json"
    words = ["bench", "physics", "--episodes", "2", "--max-seconds", "0.5", "--out", str(out)]
    assert main([*words, "--no-limits"]) == 0
    assert "deepest contact, brick and table" in capsys.readouterr().out
    found = json.loads(out.read_text())
    assert [row["seed"] for row in found["episodes"]] == [0, 1]
    assert found["success"]["value"] == 0.0 and found["success"]["target"] == 95.0
    assert found["success"]["met"] is (found["success"]["high"] >= 95.0)
    depth = found["depth_brick_table_mm"]
    assert depth["value"] <= depth["target"] and depth["met"] is True and depth["reason"]
    assert depth["value"] == max(row["depth_brick_table_mm"] for row in found["episodes"])
    assert found["config"]["n_bricks"] is None and found["versions"]["mujoco"]
    assert main(words) == 1  # half a second is not enough for the expert


def test_an_episode_is_the_same_wherever_it_is_played():
    task = WatchedEpisode(4, "towel_folding", (("level", "half"), ("grid", 9)), 12)
    first, second = watch_episode(task), watch_episode(task)
    assert first.pop("physics_real_time_factor") > 0 < second.pop("physics_real_time_factor")
    assert first == second
