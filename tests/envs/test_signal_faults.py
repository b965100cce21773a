"""Faults of cameras and encoders in mid-episode: what they alter, and for how long."""

import numpy as np
import pytest

from envs.block_dismantling.env import BlockDismantlingEnv
from envs.senses.base import Senses
from experiments.runner.condition import choose_events
from xr0_sim.conventions import CAMERAS
from xr0_sim.errors import ConfigError
from xr0_sim.perturb.signals.pictures import PictureFault, PictureFaults

TICKS = 6
START, LASTS = 2, 4
"""Ticks; 4 ticks are 0.134 s, begun ones counted."""
WHEN = f"duration_s=0.13@tick:{START}"


def moving(env):
    """A command that moves both arms, so that every tick looks different."""
    command = env._home.copy()
    command[[0, 7]] += 0.02 * (env.tick + 1)
    return command


def play(event, senses="clean", at=None, looks=True):
    """Pictures and readings of every tick; those of the end from a snapshot at tick `at`."""
    env = BlockDismantlingEnv(image_size=32, senses=senses)
    env.reset_scene(1, {"events": [] if event is None else [event]})
    pictures, readings = [], []
    for tick in range(TICKS):
        if tick == at:
            state = env.snapshot()
            for _ in range(2):
                env.advance(moving(env))
            env.restore(state)
        env.advance(moving(env))
        pictures.append(env.camera_images() if looks else {})
        readings.append(env.measured_state())
    truth = env.data.qpos.copy()
    env.close()
    return pictures, readings, truth


@pytest.fixture(scope="module")
def plain():
    return play(None)


def differing(a, b, camera):
    """Ticks, as captures count them, in which a view differs."""
    return [
        k + 1
        for k, (x, y) in enumerate(zip(a, b, strict=True))
        if not np.array_equal(x[camera], y[camera])
    ]


DURING = [START + 1, START + 2, START + 3]
"""Captures in the ticks of the fault; the first that shows an event is that after it."""


def test_a_dropped_view_is_black_for_its_time_and_alone(plain):
    pictures, _, truth = play(f"blank_camera:camera=left_wrist,{WHEN}")
    assert differing(pictures, plain[0], "left_wrist") == DURING
    assert all(not pictures[k - 1]["left_wrist"].any() for k in DURING)
    assert not any(differing(pictures, plain[0], name) for name in ("base", "right_wrist"))
    assert np.array_equal(truth, plain[2])


def test_noise_is_new_in_every_frame_of_the_asked_size_and_the_same_again(plain):
    pictures, _, _ = play(f"noisy_camera:camera=base,noise=8,{WHEN}")
    assert differing(pictures, plain[0], "base") == DURING
    parts = [pictures[k - 1]["base"].astype(float) - plain[0][k - 1]["base"] for k in DURING]
    middle = [(p["base"] > 40) & (p["base"] < 215) for p in plain[0]]  # far from both ends
    spread = [part[middle[k - 1]].std() for k, part in zip(DURING, parts, strict=True)]
    assert spread == pytest.approx([8.0] * 3, rel=0.1)
    assert np.abs(np.corrcoef(parts[0].ravel(), parts[1].ravel())[0, 1]) < 0.1
    faults = PictureFaults()
    faults.begin(PictureFault("base", 1.0, noise=8.0, seed=3), 0, {})
    view = plain[0][0]["base"]
    assert np.array_equal(faults.noisy("base", 4, view), faults.noisy("base", 4, view))
    assert not np.array_equal(faults.noisy("base", 4, view), faults.noisy("base", 5, view))


def test_a_late_view_stands_runs_late_and_catches_up(plain):
    pictures, _, _ = play(f"delay_camera:camera=left_wrist,delay_s=0.06,{WHEN}", at=4)
    # That of tick k is pictures[k - 1]; from tick 2 on they come two ticks late.
    for capture, source in {3: 2, 4: 2, 5: 3}.items():
        late, seen = (
            taken["left_wrist"] for taken in (pictures[capture - 1], plain[0][source - 1])
        )
        assert np.array_equal(late, seen)
    assert differing(pictures, plain[0], "left_wrist") == DURING
    assert not differing(pictures, plain[0], "right_wrist")


@pytest.mark.slow
def test_a_late_view_of_late_senses_is_later_still():
    lag = Senses(camera_delay_s=0.05)
    plainly = play(None, senses=lag)[0]
    pictures = play(f"delay_camera:camera=left_wrist,delay_s=0.06,{WHEN}", senses=lag)[0]
    for capture, source in {3: 2, 4: 2, 5: 3}.items():
        late, seen = (taken["left_wrist"] for taken in (pictures[capture - 1], plainly[source - 1]))
        assert np.array_equal(late, seen)


def test_stale_joints_repeat_one_reading_and_the_command_goes_on(plain):
    _, readings, truth = play(f"stale_joints:{WHEN}", at=4, looks=False)
    for capture in DURING:
        assert np.array_equal(readings[capture - 1].joint_pos, plain[1][START - 1].joint_pos)
        assert np.array_equal(readings[capture - 1].command, plain[1][capture - 1].command)
        tool = plain[1][START - 1].tool_pos
        assert readings[capture - 1].tool_pos == pytest.approx(tool, abs=1e-9)
    assert np.array_equal(readings[DURING[-1]].joint_pos, plain[1][DURING[-1]].joint_pos)
    assert np.array_equal(truth, plain[2])


def test_noisy_joints_have_noise_of_the_asked_size(plain):
    _, readings, _ = play(f"noisy_joints:noise_deg=2,{WHEN}", looks=False)
    off = np.array([readings[k - 1].joint_pos - plain[1][k - 1].joint_pos for k in DURING])
    assert np.rad2deg(off).std() == pytest.approx(2.0, rel=0.35)
    assert len({float(x) for x in off[:, 0, 0]}) == 3
    assert np.array_equal(readings[0].joint_pos, plain[1][0].joint_pos)


@pytest.mark.parametrize(
    "wrong",
    [
        *("blank_camera:camera=top", "noisy_camera:noise=-1", "delay_camera:delay_s=9"),
        *("stale_joints:duration_s=0", "noisy_joints:noise_deg=99", "blank_camera:duration_s=0"),
    ],
)
def test_faults_check_their_values(wrong):
    with pytest.raises(ConfigError):
        choose_events("block_dismantling", wrong)


def test_every_camera_may_fail():
    for name in CAMERAS:
        (event,) = choose_events("towel_folding", f"blank_camera:camera={name}")
        assert event.camera == name
