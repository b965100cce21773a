"""Towel folding: the judge of folds, the cloth, events, and the expert in closed loop."""

import numpy as np
import pytest

from envs.block_dismantling.events import Shove
from envs.towel_folding.cloth import LAYER_RADIUS, RADIUS, SIDE, rest_grid
from envs.towel_folding.env import TowelFoldingEnv
from envs.towel_folding.folds import DIRECTIONS, Fold, corners, layout, measure, mirror_pairs
from envs.towel_folding.instructions import ONCE, Level
from envs.towel_folding.state import TowelState
from policies.scripted.towel.expert import TowelExpert
from xr0_sim.errors import ConfigError

GRID = 13
LAYER = RADIUS + LAYER_RADIUS
EVENTS = ("towel_shove", "gust", "corner_slip", "obstacle", "change_instruction", "move_light")


def on_table(places, height=RADIUS):
    return np.column_stack([places, np.full(len(places), height)])


def folded(*folds):
    """An ideal towel after some folds, (grid², 3)."""
    points = on_table(rest_grid(GRID))
    for k, fold in enumerate(folds):
        moving = layout(GRID, folds[:k])[:, fold.axis] * fold.sign > 1e-9
        top = points[moving, 2].max()
        points[moving, fold.axis] *= -1
        points[moving, 2] = 2 * top - points[moving, 2] + LAYER
    return points


@pytest.fixture(scope="module")
def env():
    """Soft cloth, which is quicker; folds are made on the level's own as well."""
    return TowelFoldingEnv(observation="state", material="soft")


def play(env, seed, options=None, ticks=600, until=None):
    expert = TowelExpert(env.kinematics)
    env.reset_scene(seed, options or {})
    fired, info = [], {}
    for _ in range(ticks):
        _, done, _, info = env.advance(expert.action(env.robot_state(), env.privileged()))
        fired += info["events"]
        if done or (until is not None and until(expert)):
            break
    return info, fired


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_an_ideal_fold_is_good_wherever_it_lies(direction):
    fold = Fold(direction)
    points = folded(fold)
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    points[:, :2] = points[:, :2] @ turn.T + [0.05, -0.03]
    fit = measure(points, (fold,))
    assert fit.good(1) and fit.iou > 0.95 and fit.layers == 1.0


def test_two_ideal_folds_are_good():
    folds = (Fold("away"), Fold("left"))
    assert measure(folded(*folds), folds).good(2)


@pytest.mark.parametrize("done", ["toward", "left", "right"])
def test_another_fold_than_asked_for_is_not(done):
    assert not measure(folded(Fold(done)), (Fold("away"),)).good(1)


def test_no_fold_is_not_a_fold_and_flat_is_flat():
    flat = on_table(rest_grid(GRID))
    assert not measure(flat, (Fold("away"),)).good(1)
    assert measure(flat, ()).good(0)
    assert not measure(folded(Fold("away")), ()).good(0)


def test_the_right_coverage_is_not_enough():
    # Both edges folded to the middle cover what one fold in half covers.
    points = on_table(rest_grid(GRID))
    outer = np.abs(points[:, 0]) > SIDE / 4
    points[outer, 0] = np.sign(points[outer, 0]) * SIDE / 2 - points[outer, 0]
    points[outer, 2] += LAYER
    fit = measure(points, (Fold("away"),))
    ideal = measure(folded(Fold("away")), (Fold("away"),))
    area = np.ptp(points[:, 0]) * np.ptp(points[:, 1])
    assert area == pytest.approx(SIDE * SIDE / 2, rel=0.02)
    assert fit.mirror > 2 * ideal.mirror and not fit.good(1)


def test_a_crumple_pushed_into_the_right_shape_is_not_a_fold():
    env = TowelFoldingEnv(level="flatten", observation="state")
    env.reset_scene(3, {})
    points = env.points.copy()
    target = folded(Fold("away"))
    for axis in range(2):
        low, high = points[:, axis].min(), points[:, axis].max()
        goal = target[:, axis]
        points[:, axis] = np.interp(points[:, axis], (low, high), (goal.min(), goal.max()))
    points[:, 2] = np.minimum(points[:, 2], 0.02)
    assert not measure(points, (Fold("away"),)).good(1)


def test_layers_the_wrong_way_round_are_not_a_fold():
    fold = Fold("away")
    points = folded(fold)
    pairs = mirror_pairs(GRID, fold)
    points[pairs[:, 0], 2], points[pairs[:, 1], 2] = (
        points[pairs[:, 1], 2].copy(),
        points[pairs[:, 0], 2].copy(),
    )
    fit = measure(points, (fold,))
    assert fit.mirror < 0.01 and fit.layers == 0.0 and not fit.good(1)


def test_corners_are_on_the_moving_edge_and_land_on_the_other():
    rest = rest_grid(GRID)
    for direction, (axis, sign) in DIRECTIONS.items():
        pairs = corners(GRID, Fold(direction))
        assert np.allclose(rest[pairs[:, 0], axis], sign * SIDE / 2)
        assert np.allclose(rest[pairs[:, 1], axis], -sign * SIDE / 2)


def test_a_towel_that_is_let_be_stays_where_it_lies(env):
    env.reset_scene(2, {})
    before = env.points.copy()
    for _ in range(60):
        env.advance(env._home)
    assert np.abs(env.points - before).max() < 0.003
    assert RADIUS / 2 < env.points[:, 2].min() and env.points[:, 2].max() < 0.015


def test_state_vector_round_trip(env):
    env.reset_scene(4, {})
    state = env.privileged()
    back = TowelState.from_vector(state.to_vector())
    assert back.folds == state.folds and back.done == state.done
    assert np.allclose(back.points, state.points, atol=1e-6)
    for name in ("held", "touched", "failures", "obstructed"):
        assert np.array_equal(getattr(back, name), getattr(state, name)), name


def test_the_instruction_names_the_direction_that_counts(env):
    for seed in range(6):
        env.reset_scene(seed, {})
        (fold,) = env.folds
        assert env.instruction in ONCE[fold.direction]
    env.reset_scene(0, {"folds": "left"})
    assert env.folds == (Fold("left"),) and env.instruction in ONCE["left"]


def test_bad_levels_grids_and_folds_get_one_line(env):
    for make, words in (
        (lambda: Level("halve"), "did you mean 'half'"),
        (lambda: TowelFoldingEnv(grid=12), "expected one of"),
        (lambda: env.reset_scene(0, {"folds": "up"}), "fold direction"),
        (lambda: env.reset_scene(0, {"folds": ["away", "left"]}), "expected 1 direction"),
    ):
        with pytest.raises(ConfigError, match=words) as caught:
            make()
        assert "\n" not in str(caught.value)


def test_events_of_another_task_get_one_line_and_the_scene_stays(env):
    env.reset_scene(0, {})
    before = env.data.qpos.copy()
    with pytest.raises(ConfigError, match=r"choose from .*towel_shove") as caught:
        env.reset_scene(1, {"events": [Shove(), "gust"]})
    assert "\n" not in str(caught.value)
    assert np.array_equal(env.data.qpos, before)


@pytest.mark.parametrize("direction", ["away", "toward"])
def test_the_expert_folds_in_half(direction):
    env = TowelFoldingEnv(observation="state")
    info, _ = play(env, 4, {"folds": direction})
    assert info["success"] and info["progress"] == 1.0 and info["stage"] == "released"
    assert measure(env.points, env.folds).good(1)


def test_the_expert_folds_after_a_shove(env):
    info, fired = play(env, 4, {"events": ["towel_shove"]}, ticks=900)
    assert [event.kind for event in fired] == ["towel_shove"] and info["success"]


def test_the_towel_is_held_by_friction_between_the_pads(env):
    play(env, 2, until=lambda expert: expert.phase == ("carry", "carry"))
    state = env.privileged()
    expert = TowelExpert(env.kinematics)
    assert (state.held >= 0).all() and env.model.neq == _couplings(env)
    for _ in range(20):
        env.advance(expert.action(env.robot_state(), env.privileged()))
    lifted = env.points[env.privileged().held, 2]
    assert (lifted > 0.04).all()


def _couplings(env):
    """Equalities the robot itself has; none may hold the towel."""
    names = [env.model.equality(k).name for k in range(env.model.neq)]
    assert not [name for name in names if "towel" in name]
    return len(names)


@pytest.mark.parametrize("event", EVENTS)
def test_events_fire_once_and_leave_everything_finite(env, event):
    _, fired = play(env, 3, {"events": [f"{event}@tick:45"]}, ticks=120)
    assert len(fired) == 1
    assert np.isfinite(env.data.qpos).all() and np.isfinite(env.data.qvel).all()


def test_a_slipped_corner_leaves_the_hand(env):
    env.reset_scene(2, {"events": ["corner_slip@tick:70"]})
    expert = TowelExpert(env.kinematics)
    held = []
    for _ in range(100):
        env.advance(expert.action(env.robot_state(), env.privileged()))
        held.append((env.privileged().held >= 0).sum())
    assert held[69] == 2 and min(held[70:]) < 2


def test_a_changed_instruction_turns_the_fold_round(env):
    env.reset_scene(2, {"events": ["change_instruction@tick:5"]})
    before, text = env.folds, env.instruction
    for _ in range(8):
        env.advance(env._home)
    assert env.folds != before and env.instruction != text


def test_snapshot_while_two_hands_carry(env):
    play(env, 2, until=lambda expert: expert.phase == ("carry", "carry"))
    state = env.snapshot()
    runs = []
    for _ in range(2):
        env.restore(state)
        expert = TowelExpert(env.kinematics)
        for _ in range(30):
            env.advance(expert.action(env.robot_state(), env.privileged()))
        runs.append((env.data.qpos.tobytes(), env.privileged().to_vector().tobytes()))
    assert runs[0] == runs[1]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_an_hour_of_mixed_events_stays_finite(seed):
    """Twenty times three minutes of towels that keep coming, under random hands or the expert's."""
    env = TowelFoldingEnv(observation="state", continuous=True)
    rng = np.random.default_rng(seed)
    times = np.sort(rng.choice(3 * 60 * 30, 12, replace=False))
    events = [f"{rng.choice([*EVENTS, 'move_camera'])}@tick:{tick}" for tick in times]
    env.reset(seed=seed, options={"events": events})
    expert, fired = TowelExpert(env.kinematics), 0
    for tick in range(3 * 60 * 30):
        if seed % 2:
            action = expert.action(env.robot_state(), env.privileged())
            reward, terminated, _, info = env.advance(action)
        else:
            if tick % 15 == 0:
                goal = rng.uniform(env.action_space.low, env.action_space.high)
            observation, reward, terminated, _, info = env.step(goal)
            assert all(np.isfinite(v).all() for v in observation.values())
        fired += len(info["events"])
        assert np.isfinite(reward) and "failure" not in info and not terminated
        assert np.isfinite(env.data.qpos).all() and np.isfinite(env.data.qvel).all()
    assert fired == len(events)
    if seed % 2:
        assert info["towels"][0] > 0
