"""``xr0-sim dataset import``: a set becomes samples, exactly, or one line says why not."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from envs.tasks import make_env
from experiments.cli import main
from experiments.datagen import lerobot_import
from experiments.runner.episode_rows import log_path
from xr0_sim.conventions import CAMERAS
from xr0_sim.data.chunk_schema import StoreMeta
from xr0_sim.data.chunk_store import ChunkStore
from xr0_sim.data.chunk_writer import ChunkWriter
from xr0_sim.record.ticklog import read_ticklog
from xr0_sim.types import RobotState

SEEDS, TICKS, SIDE, STRIDE = (731, 732), 12, 32, 5
DATA = "data/chunk-000/file-000.parquet"
BASE = "observation.images.base"


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("import") / "run"
    words = f"rollout --env block_dismantling:n_bricks=2 --policy oracle --episodes {len(SEEDS)}"
    words += f" --seed {SEEDS[0]} --event none --max-seconds {TICKS / 30} --no-video"
    assert main([*words.split(), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def root(run_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("set") / "set"
    words = ["dataset", "export", str(run_folder), "--out", str(out), "--image-size", str(SIDE)]
    assert main(words) == 0
    return out


@pytest.fixture
def changed(root, tmp_path):
    """A copy of the set, to be damaged."""
    return shutil.copytree(root, tmp_path / "changed")


def bring(root, store, *words):
    return main(["dataset", "import", str(root), "--out", str(store), *words])


def edit_info(root, change):
    path = root / "meta/info.json"
    info = json.loads(path.read_text())
    change(info)
    path.write_text(json.dumps(info))


def make_foreign(root):
    """What another project would have written: no provenance, none of our columns."""
    (root / "meta/xr0_sim.json").unlink()
    edit_info(root, lambda info: [info["features"].pop(name) for name in ("joint_vel", "command")])
    pd.read_parquet(root / DATA).drop(columns=["joint_vel", "command"]).to_parquet(root / DATA)


def test_frames_become_samples_with_the_actions_that_follow(run_folder, root, tmp_path):
    assert bring(root, tmp_path / "store", "--stride", str(STRIDE)) == 0
    store = ChunkStore(tmp_path / "store")
    env = make_env("block_dismantling", n_bricks=2)
    frames = list(range(0, TICKS, STRIDE))
    assert store.column("tick").tolist() == frames * 2
    assert store.column("episode_seed").tolist() == [seed for seed in SEEDS for _ in frames]
    assert store.meta.provenance["env"] == "block_dismantling" and store.sources == ["demo"]
    assert not store.column("grounding_mask").any()
    row = 0
    for seed in SEEDS:
        log = read_ticklog(log_path(run_folder, seed))
        for frame in frames:
            valid = TICKS - frame
            assert store.column("valid_steps")[row] == valid
            chunk = store.column("actions")[row]
            assert chunk[:valid] == pytest.approx(log["action"][frame:], abs=1e-6)
            assert np.array_equal(chunk[valid:], np.repeat(chunk[valid - 1 : valid], 30 - valid, 0))
            joints = store.column("joint_pos")[row]
            assert joints.ravel() == pytest.approx(log["joint_pos"][frame], abs=1e-6)
            speed = store.column("joint_vel")[row].ravel()
            assert speed == pytest.approx(log["joint_vel"][frame], abs=1e-5)
            if frame:
                command = store.column("command")[row]
                assert command == pytest.approx(log["action"][frame - 1], abs=1e-6)
            position, quaternion = env.kinematics.forward(joints.astype(float))
            assert store.column("tool_pos")[row] == pytest.approx(position, abs=1e-6)
            assert store.column("tool_quat")[row] == pytest.approx(quaternion, abs=1e-6)
            row += 1
    seen = store.images(np.arange(len(store))).astype(int)
    assert seen.shape == (len(store), 3, SIDE, SIDE, 3)
    env.reset_scene(SEEDS[1])
    drawn = env.camera_images()
    assert env.image_size != SIDE  # the set's pictures are smaller: compared as means of colours
    for place, camera in enumerate(CAMERAS):
        assert seen[len(frames), place].mean((0, 1)) == pytest.approx(
            drawn[camera].mean((0, 1)), abs=4.0
        )
    env.close()


def test_an_interrupted_import_goes_on_and_a_repeated_one_adds_nothing(
    root, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(lerobot_import, "BLOCK", 1)
    whole = lerobot_import._import_episode

    def interrupted(reader, episode, *rest):
        if episode == 1:
            raise KeyboardInterrupt
        return whole(reader, episode, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(lerobot_import, "_import_episode", interrupted)
        assert bring(root, tmp_path / "store") == 130
    assert len(ChunkStore(tmp_path / "store")) == 3
    assert bring(root, tmp_path / "store") == 0
    assert "1/2: there already" in capsys.readouterr().out
    assert len(ChunkStore(tmp_path / "store")) == 6
    assert bring(root, tmp_path / "store") == 0
    assert len(ChunkStore(tmp_path / "store")) == 6


def test_a_set_of_others_needs_a_task_and_its_state_is_completed(root, changed, tmp_path, capsys):
    make_foreign(changed)
    assert bring(changed, tmp_path / "store") == 2
    assert "expected --env TASK" in capsys.readouterr().err
    words = ("--env", "block_dismantling:n_bricks=2", "--stride", "4", "--source", "lab")
    assert bring(changed, tmp_path / "foreign", *words) == 0
    assert bring(root, tmp_path / "ours", "--stride", "4") == 0
    foreign, ours = ChunkStore(tmp_path / "foreign"), ChunkStore(tmp_path / "ours")
    assert foreign.sources == ["lab"]
    for name in ("joint_pos", "jaw", "tool_pos", "actions", "action_tools"):
        assert np.array_equal(foreign.column(name), ours.column(name)), name
    later = ours.column("tick") > 0
    assert np.array_equal(foreign.column("command")[later], ours.column("command")[later])
    # A mean over the tick before, which ends where the log's value is taken.
    assert np.abs(foreign.column("joint_vel") - ours.column("joint_vel"))[later].max() < 0.6


def test_films_of_other_names_and_sizes(changed, tmp_path):
    edit_info(
        changed,
        lambda info: info["features"].update(
            {"observation.images.top": info["features"].pop(BASE)}
        ),
    )
    (changed / "videos" / BASE).rename(changed / "videos/observation.images.top")
    table = changed / "meta/episodes/chunk-000/file-000.parquet"
    frame = pd.read_parquet(table)
    frame.columns = [
        name.replace(f"videos/{BASE}/", "videos/observation.images.top/") for name in frame
    ]
    frame.to_parquet(table)
    assert bring(changed, tmp_path / "store", "--views", "base=top", "--image-size", "48") == 0
    store = ChunkStore(tmp_path / "store")
    assert store.images(np.array([0])).shape == (1, 3, 48, 48, 3)


def random_store(root):
    """A store of two sources with everything a sample can have, and smooth pictures."""
    rng = np.random.default_rng(5)
    meta = StoreMeta(
        horizon=4,
        image_size=SIDE,
        grounding_dim=3,
        grounding={"regressions": [["x", 3]], "classes": [], "points": [], "lifts": []},
        provenance={"env": "block_dismantling", "env_kwargs": {"n_bricks": 3}},
    )
    slope = np.linspace(40, 200, SIDE)[None, :, None, None] * np.ones((3, 1, SIDE, 3))
    for source, seeds in (("demo", (7, 8)), ("late_look", (8,))):
        with ChunkWriter(root, meta, source) as writer:
            for seed in seeds:
                for tick in (0, 4, 11):
                    arms = rng.uniform(-1, 1, (2, 6))
                    state = RobotState(
                        *(arms, rng.normal(size=(2, 6)), rng.uniform(size=2)),
                        *(rng.normal(size=(2, 3)), rng.normal(size=(2, 4))),
                        rng.uniform(0, 1, 14),
                    )
                    writer.add(
                        images=np.roll(slope, 5 * tick, axis=1).astype(np.uint8),
                        robot=state,
                        instruction=f"sort {seed}",
                        actions=rng.uniform(0, 1, (4, 14)),
                        action_tools=rng.normal(size=(4, 2, 7)),
                        valid_steps=3,
                        committed=1,
                        episode_seed=seed,
                        tick=tick,
                        source=source,
                        grounding=rng.normal(size=3),
                        grounding_mask=rng.random(3) < 0.5,
                        weight=float(rng.uniform()),
                    )
    return ChunkStore(root)


def test_a_store_comes_back_as_it_was(tmp_path):
    store = random_store(tmp_path / "store")
    words = ["dataset", "export", str(tmp_path / "store"), "--out", str(tmp_path / "set")]
    assert main(words) == 0
    assert bring(tmp_path / "set", tmp_path / "back") == 0
    back = ChunkStore(tmp_path / "back")
    assert (back.meta.horizon, back.meta.grounding) == (4, store.meta.grounding)
    assert back.meta.provenance["env_kwargs"]["n_bricks"] == 3
    for name in store.meta.fields():
        if name in ("instruction", "source"):
            words = [
                np.array(each.tables[name])[each.column(name)].tolist() for each in (store, back)
            ]
            assert words[0] == words[1]
        elif name != "images":
            assert np.array_equal(store.column(name), back.column(name)), name
    every = np.arange(len(store))
    loss = np.abs(store.images(every).astype(int) - back.images(every))
    assert loss.mean() < 2.0 and loss.mean((1, 2, 3, 4)).max() < 3.0
    data = pd.read_parquet(tmp_path / "set" / DATA)
    assert data["source"].tolist() == ["demo"] * 6 + ["late_look"] * 3
    assert np.stack(data["action"]) == pytest.approx(store.column("actions")[:, 0])


def test_what_does_not_fit_is_one_line_and_leaves_no_sample(root, tmp_path, capsys):
    places = iter(range(100))

    def refused(*words, change=None, status=2):
        store = tmp_path / f"store{next(places)}"
        place = root
        if change is not None:
            place = shutil.copytree(root, tmp_path / f"set{next(places)}")
            change(place)
        assert bring(place, store, *words) == status
        assert not list(store.glob("shards/[a-z]*"))
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1, lines
        return lines[0]

    def info(**values):
        return lambda place: edit_info(place, lambda found: found.update(values))

    def feature(name, **values):
        return lambda place: edit_info(place, lambda i: i["features"][name].update(values))

    def cut(name, share):
        def change(place):
            path = next(place.glob(name))
            path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

        return change

    def scaled(place):
        table = pd.read_parquet(place / DATA)
        table["action"] = [row * np.float32(180 / np.pi) for row in table["action"]]
        table.to_parquet(place / DATA)

    assert "expected the folder of a LeRobotDataset" in refused(change=shutil.rmtree)
    assert "readable meta/info.json" in refused(change=cut("meta/info.json", 0.5))
    assert "got 'v2.1'; convert" in refused(change=info(codebase_version="v2.1"))
    assert "expected 30 frames a second, got 50" in refused(change=info(fps=50))
    names = [f"motor_{k}" for k in range(14)]
    assert "motor_0 .. motor_13 (14)" in refused(change=feature("action", names=names))
    assert "got [14] without names" in refused(change=feature("observation.state", names=None))
    assert "name it with --views base=NAME" in refused("--views", "base=top")
    assert "unknown view 'bas': did you mean 'base'?" in refused("--views", "bas=top")
    assert "readable meta/info.json" in refused(change=info(features={"action": 3}))
    assert "readable meta/info.json" in refused(change=info(features=[]))
    assert "expected square pictures" in refused(change=feature(BASE, shape=32))
    assert "expected square pictures" in refused(change=feature(BASE, shape=[32, 64, 3]))
    assert "convert its units" in refused(change=scaled)
    assert "24 frames instead of 2 with 7" in refused(change=info(total_frames=7))
    assert "expected a complete LeRobotDataset" in refused(change=cut("data/*/*.parquet", 0.6))
    assert "expected a complete LeRobotDataset" in refused(change=cut("meta/episodes/*/*", 0.6))
    assert "expected a complete LeRobotDataset" in refused(change=cut(f"videos/{BASE}/*/*", 0.3))
    assert "it is not there" in refused(change=lambda p: next(p.glob("videos/*/*/*")).unlink())
    assert "--image-size: expected a whole number 32 .. 1024" in refused("--image-size", "0")
    assert "--stride: expected 1 .. 1000" in refused("--stride", "0")
    assert "unknown env" in refused("--env", "blocks")


@pytest.mark.slow
def test_training_reads_what_was_imported(root, tmp_path):
    """All three stages, a step each; the scene is unknown, so the VLM learns from actions alone."""
    assert bring(root, tmp_path / "store", "--stride", "2", "--image-size", "128") == 0
    words = f"train --data {tmp_path / 'store'} --out {tmp_path / 'run'} --heads sync --threads 1"
    words += " --vlm-steps 1 --base-steps 1 --head-steps 1 --batch-size 2 --validation 0.5"
    assert main(words.split()) == 0
    assert (tmp_path / "run/vlm/checkpoint/heads/sync").is_dir()
