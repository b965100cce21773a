"""``xr0-sim dataset export``: the set holds what the run recorded and what its cameras saw."""

from __future__ import annotations

import json

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest

from envs.tasks import make_env
from experiments.cli import main
from experiments.datagen import lerobot_run
from experiments.runner.episode_rows import log_path
from experiments.runner.replay import Replay, inferences_begun
from experiments.runner.run_folder import CARD
from experiments.runner.stored_condition import stored_condition
from xr0_sim.errors import DatasetError
from xr0_sim.record.runcard import read_run_card
from xr0_sim.record.ticklog import TickTable, read_ticklog

SEEDS, TICKS, SIDE = (721, 722), 12, 32
TRIGGER, EVENT_TICK = "inference:before_handover#1", 2  # 80 ms: the chunk of tick 0 comes in tick 3
BASE = "observation.images.base"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "run"
    words = f"rollout --env block_dismantling:n_bricks=2 --policy oracle --episodes {len(SEEDS)}"
    words += f" --seed {SEEDS[0]} --event teleport@{TRIGGER} --max-seconds {TICKS / 30}"
    assert main([*words.split(), "--no-video", "--out", str(out)]) == 0
    return out


def export(folder, out, *words):
    return main(
        ["dataset", "export", str(folder), "--out", str(out), "--image-size", str(SIDE), *words]
    )


@pytest.fixture(scope="module")
def root(folder, tmp_path_factory):
    """The set, exported with an interruption between its episodes."""
    out = tmp_path_factory.mktemp("set") / "set"
    whole, asked = lerobot_run.export_episode, []

    def interrupted(env, seed, *rest):
        asked.append(seed)
        if asked.count(seed) == 1 and seed == SEEDS[1]:
            raise KeyboardInterrupt
        whole(env, seed, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lerobot_run, "export_episode", interrupted)
        assert export(folder, out) == 130
        assert not out.exists()
        assert export(folder, out) == 0
    assert asked == [SEEDS[0], SEEDS[1], SEEDS[1]]  # the finished episode was kept
    assert [path.name for path in out.parent.iterdir()] == ["set"]
    return out


def read(root, pattern):
    return pd.read_parquet(root / pattern / "chunk-000/file-000.parquet")


def test_frames_are_the_ticks_of_the_logs(folder, root):
    data, episodes = read(root, "data"), read(root, "meta/episodes")
    logs = [read_ticklog(log_path(folder, seed)) for seed in SEEDS]
    assert episodes["seed"].tolist() == list(SEEDS)
    assert episodes["digest"].tolist() == [log.digest() for log in logs]
    assert data["index"].tolist() == list(range(len(SEEDS) * TICKS))
    for number, log in enumerate(logs):
        rows = data[data["episode_index"] == number]
        assert np.stack(rows["action"]) == pytest.approx(log["action"], abs=1e-6)
        state = np.stack(rows["observation.state"]).reshape(-1, 2, 7)
        assert state[..., :6].reshape(-1, 12) == pytest.approx(log["joint_pos"], abs=1e-6)
        assert state[..., 6] == pytest.approx(log["jaw"], abs=1e-6)
        assert rows["event"].tolist() == log["events"].tolist()
        assert rows["event"].tolist()[EVENT_TICK] == "teleport"
        assert np.array_equal(rows["latency_s"], np.float32(log["latency_s"]), equal_nan=True)
        assert rows["chunk_row"].tolist() == log["index"].tolist()
        assert rows["timestamp"].to_numpy() == pytest.approx(np.arange(TICKS) / 30)
        assert rows["next.done"].tolist() == [False] * (TICKS - 1) + [True]


def test_the_tables_agree_with_each_other(root):
    info = json.loads((root / "meta/info.json").read_text())
    stats = json.loads((root / "meta/stats.json").read_text())
    data, episodes = read(root, "data"), read(root, "meta/episodes")
    tasks = pd.read_parquet(root / "meta/tasks.parquet")
    assert info["codebase_version"] == "v3.0" and info["fps"] == 30
    assert (info["total_episodes"], info["total_frames"]) == (2, 2 * TICKS) == (2, len(data))
    assert info["total_tasks"] == len(tasks)
    tabled = {name for name, entry in info["features"].items() if entry["dtype"] != "video"}
    assert tabled == set(data.columns)
    named = tasks.index[data["task_index"]]
    for number, row in episodes.iterrows():
        assert set(named[data["episode_index"] == number]) == set(row["tasks"])
        assert row["dataset_to_index"] - row["dataset_from_index"] == row["length"] == TICKS
        assert row[f"videos/{BASE}/from_timestamp"] == pytest.approx(number * TICKS / 30)
        assert np.ravel(row["stats/action/count"]).tolist() == [TICKS]
    assert stats["action"]["mean"] == pytest.approx(np.stack(data["action"]).mean(0), abs=1e-5)
    assert np.shape(stats[BASE]["mean"]) == (3, 1, 1)


def test_the_films_show_the_scene_at_the_start_of_each_tick(folder, root):
    path = root / f"videos/{BASE}/chunk-000/file-000.mp4"
    film = iio.imread(path, plugin="FFMPEG").astype(float)
    assert film.shape == (len(SEEDS) * TICKS, SIDE, SIDE, 3)
    condition = stored_condition(read_run_card(folder / CARD)["config"], "card")
    env = make_env(condition.env, image_size=SIDE, **condition.env_kwargs)
    table = read_ticklog(log_path(folder, SEEDS[1]))
    for tick in Replay(env, SEEDS[1], condition.events, table).ticks():
        # The event moves bricks between the starts of these two ticks.
        if tick in (EVENT_TICK, EVENT_TICK + 1):
            drawn = env.observe(images=True).images["base"].astype(float)
            loss = np.abs(film[TICKS : TICKS + 12] - drawn).mean((1, 2, 3))
            side = slice(0, EVENT_TICK + 1) if tick == EVENT_TICK else slice(EVENT_TICK + 1, None)
            assert loss[tick] < 4.0
            assert loss[side].max() < np.delete(loss, np.arange(TICKS)[side]).min()
    env.close()


def test_a_replay_that_leaves_its_log_ends(folder):
    condition = stored_condition(read_run_card(folder / CARD)["config"], "card")
    table = read_ticklog(log_path(folder, SEEDS[0]))
    env = make_env(condition.env, **condition.env_kwargs)
    for name, what in (("joint_pos", "joints"), ("reward", "reward and events")):
        column = table[name].copy()
        column[4] += 1e-3
        bent = TickTable({**table.columns, name: column}, table.meta)
        with pytest.raises(DatasetError, match=f"tick 4: expected the {what}"):
            list(Replay(env, SEEDS[0], condition.events, bent).ticks())
    with pytest.raises(DatasetError, match=f"tick {EVENT_TICK}: expected the reward and events"):
        list(Replay(env, SEEDS[0], (), table).ticks())
    env.close()


def test_inferences_are_read_back_from_the_log(folder):
    table = read_ticklog(log_path(folder, SEEDS[0]))
    first = inferences_begun(table, 0)[0]
    assert (first.number, first.capture_tick, first.due_tick) == (0, 0, int(table["d_ceil"][0]))
    quiet = int(np.flatnonzero(table["started"] < 0)[0])
    assert inferences_begun(table, quiet) == []


def test_bad_requests_are_one_line(folder, root, tmp_path, capsys):
    def refused(*words):
        assert main(["dataset", "export", *map(str, words)]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        return lines[0]

    assert "expected the folder of a run" in refused(tmp_path)
    assert "expected a new name" in refused(folder, "--out", root)
    assert "expected an even number, got 33" in refused(folder, "--image-size", 33)
    assert "expected successful episodes, got none of 2" in refused(folder, "--successes-only")


def test_transitions_as_minari_and_its_environment(folder, tmp_path, capsys):
    minari = pytest.importorskip("minari")
    out = tmp_path / "blocks"
    words = ["dataset", "export", str(folder), "--format", "minari", "--out", str(out)]
    assert main(words) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["blocks"]
    data = minari.MinariDataset(out)
    assert (data.total_episodes, data.total_steps) == (len(SEEDS), len(SEEDS) * TICKS)
    env = data.recover_environment()
    for episode, seed in zip(data, SEEDS, strict=True):
        log = read_ticklog(log_path(folder, seed))
        assert episode.rewards == pytest.approx(log["reward"])
        assert episode.observations["tick"].ravel().tolist() == list(range(TICKS + 1))
        assert episode.truncations.tolist() == [False] * (TICKS - 1) + [True]
        assert not episode.terminations.any()
        env.reset(seed=seed, options={"events": [f"teleport@tick:{EVENT_TICK}"]})
        for tick, action in enumerate(episode.actions):
            observation, reward, *_ = env.step(action)
            # Actions are float32 here, and contacts with an event between them grow differences.
            if tick < EVENT_TICK:
                assert reward == pytest.approx(log["reward"][tick], abs=1e-5)
                told = episode.observations["proprio"][tick + 1]
                assert observation["proprio"] == pytest.approx(told, abs=1e-4)
    env.close()
    assert main(words) == 2
    assert "expected a new name" in capsys.readouterr().err
