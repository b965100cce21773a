"""``render_mode="human"``: a window where there is a display, one line where there is none."""

from __future__ import annotations

import sys
import types

import gymnasium as gym
import pytest

from envs import ENV_IDS
from envs.scene.window import DISPLAYS


class Viewer:
    """What MuJoCo's passive viewer does, without a display."""

    def __init__(self, model, data, **_):
        self.model, self.data = model, data
        self.times, self.open = [], True

    def is_running(self):
        return self.open

    def sync(self):
        self.times.append(self.data.time)

    def close(self):
        self.open = False


@pytest.fixture
def viewers(monkeypatch):
    made = []

    def launch_passive(model, data, **options):
        made.append(Viewer(model, data, **options))
        return made[-1]

    viewer = types.ModuleType("mujoco.viewer")
    viewer.launch_passive = launch_passive
    monkeypatch.setitem(sys.modules, "mujoco.viewer", viewer)
    monkeypatch.setattr("mujoco.viewer", viewer, raising=False)
    monkeypatch.setenv(DISPLAYS[0], ":0")
    return made


def test_without_a_display_one_line_names_watch(monkeypatch, caplog):
    monkeypatch.setattr(sys, "platform", "linux")
    for name in DISPLAYS:
        monkeypatch.delenv(name, raising=False)
    env = gym.make(ENV_IDS["block_dismantling"], observation="state", render_mode="human")
    env.reset(seed=3)
    env.step(0 * env.action_space.sample())
    env.close()
    assert len(caplog.records) == 1 and "xr0-sim watch" in caplog.text


def test_every_reset_and_step_is_shown(viewers):
    env = gym.make(ENV_IDS["block_dismantling"], observation="state", render_mode="human")
    env.reset(seed=3)
    for _ in range(2):
        env.step(0 * env.action_space.sample())
    assert env.render() is None
    first = viewers[0]
    assert len(viewers) == 1 and first.model is env.unwrapped.model
    assert first.times == pytest.approx([0, 1 / 30, 2 / 30, 2 / 30])
    first.close()  # by its user
    env.step(0 * env.action_space.sample())
    assert len(viewers) == 1 and len(first.times) == 4
    env.reset(seed=4)
    assert len(viewers) == 2 and viewers[1].times == [0]
    env.close()
    assert not viewers[1].open
