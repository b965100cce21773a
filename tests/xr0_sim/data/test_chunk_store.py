"""The sample store: round trip, several writers, resuming, damage."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace

import numpy as np
import pytest
from small_store import META, sample

from xr0_sim.data.chunk_store import ChunkStore
from xr0_sim.data.chunk_writer import ChunkWriter
from xr0_sim.errors import ConfigError, DatasetError


def write(root, prefix, seeds, shard_samples=4):
    with ChunkWriter(root, META, prefix, shard_samples) as writer:
        for seed in seeds:
            for tick in range(2):
                writer.add(**sample(seed, tick))
            writer.end_episode()


def test_round_trip_across_shards_and_writers(tmp_path):
    write(tmp_path, "a", range(5))
    write(tmp_path, "b", range(10, 13))
    store = ChunkStore(tmp_path)
    assert len(store) == 16 and len(store.shards) == 5
    assert sorted(store.instructions) == ["Task 0.", "Task 1.", "Task 2."]
    rows = np.array([13, 2, 7, 2])
    images = store.images(rows)
    for i, row in enumerate(rows):
        seed, tick = int(store.column("episode_seed")[row]), int(store.column("tick")[row])
        want = sample(seed, tick)
        np.testing.assert_array_equal(images[i], want["images"])
        np.testing.assert_allclose(store.robot(rows).tool_pos[i], want["robot"].tool_pos, rtol=1e-6)
        assert store.instructions[store.column("instruction")[row]] == want["instruction"]
        np.testing.assert_allclose(
            store.targets(rows).tool_quat[i], want["action_tools"][..., 3:], rtol=1e-6
        )


def test_every_shard_keeps_what_collected_it(tmp_path):
    write(tmp_path, "old", range(2))
    old = tmp_path / "shards" / "old-00000" / "shard.json"
    card = json.loads(old.read_text())
    del card["origin"]  # as shards were written before origins were kept
    old.write_text(json.dumps(card))
    origin = {"command": "xr0-sim collect", "commit": "abc123", "config": {"source": "demo"}}
    with ChunkWriter(tmp_path, META, "new", origin=origin) as writer:
        for seed in range(5, 8):
            writer.add(**sample(seed))
    store = ChunkStore(tmp_path)
    assert [shard.origin for shard in store.shards] == [origin, {}]
    assert store.commits().tolist() == ["abc123"] * 3 + ["unknown"] * 4


def test_split_is_by_episode_and_stable_when_the_store_grows(tmp_path):
    write(tmp_path, "a", range(60))
    small = ChunkStore(tmp_path)
    write(tmp_path, "b", range(100, 160))
    large = ChunkStore(tmp_path)
    train, validation = large.split(0.3)
    seeds = large.column("episode_seed")
    assert not set(seeds[train]) & set(seeds[validation]) and len(validation) > 0
    held_out = set(small.column("episode_seed")[small.split(0.3)[1]])
    assert held_out == {s for s in seeds[validation] if s < 100}


def test_resume_continues_numbering_and_knows_finished_seeds(tmp_path):
    write(tmp_path, "a", range(3))
    (tmp_path / "shards" / ".a-00009.tmp").mkdir()
    with ChunkWriter(tmp_path, META, "a") as writer:
        assert writer.finished_seeds() == {0, 1, 2}
        writer.add(**sample(7))
        writer.add(**sample(8))
        writer.drop_episode(8)
    store = ChunkStore(tmp_path)
    assert len(store) == 7 and 8 not in store.column("episode_seed")
    assert not list((tmp_path / "shards").glob(".*"))


def test_an_exception_leaves_no_half_episode(tmp_path):
    with pytest.raises(RuntimeError), ChunkWriter(tmp_path, META, "a") as writer:
        writer.add(**sample(1))
        raise RuntimeError
    with pytest.raises(DatasetError, match="at least one shard"):
        ChunkStore(tmp_path)


def test_spawned_writers_share_a_store(tmp_path):
    context = multiprocessing.get_context("spawn")
    jobs = [
        context.Process(target=write, args=(tmp_path, f"w{i}", range(10 * i, 10 * i + 3)))
        for i in range(2)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(60)
        assert job.exitcode == 0
    assert len(ChunkStore(tmp_path)) == 12


def test_damage_is_named(tmp_path):
    write(tmp_path, "a", range(2))
    (path,) = (tmp_path / "shards").glob("a-*/images.npy")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DatasetError, match="complete shard"):
        ChunkStore(tmp_path)
    with pytest.raises(DatasetError, match=r"meta\.json"):
        ChunkStore(tmp_path / "nowhere")


def test_bad_samples_and_foreign_meta_are_rejected(tmp_path):
    writer = ChunkWriter(tmp_path, META, "a")
    with pytest.raises(ConfigError, match="actions"):
        writer.add(**sample(0, actions=np.zeros((5, 14))))
    with pytest.raises(ConfigError, match="NaN"):
        writer.add(**sample(0, actions=np.full((4, 14), np.nan)))
    with pytest.raises(ConfigError, match="committed"):
        writer.add(**sample(0, committed=4))
    with pytest.raises(DatasetError, match="horizon"):
        ChunkWriter(tmp_path, replace(META, horizon=5), "b")
    with pytest.raises(ConfigError, match="prefix"):
        ChunkWriter(tmp_path, META, "A-1")
    assert json.loads((tmp_path / "meta.json").read_text())["horizon"] == 4


@pytest.mark.parametrize("name", ["episode_seed", "images", "instruction"])
@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"text"])
def test_an_array_that_is_none_is_one_line(tmp_path, name, content):
    write(tmp_path, "a", range(2))
    (path,) = (tmp_path / "shards").glob(f"a-*/{name}.npy")
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="complete shard"):
        ChunkStore(tmp_path)
    if name == "episode_seed":
        with pytest.raises(DatasetError, match="complete shard"):
            ChunkWriter(tmp_path, META, "a").finished_seeds()
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "card",
    [
        "[]",
        "null",
        "{}",
        '{"count": null, "tables": {"instruction": [], "source": []}}',
        '{"count": "4", "tables": {"instruction": [], "source": []}}',
        '{"count": 4, "tables": null}',
        '{"count": 4, "tables": {"instruction": null, "source": []}}',
        '{"count": 4, "tables": {"instruction": [3], "source": ["demo"]}}',
        '{"count": 4, "tables": {"instruction": [], "source": ["demo"]}}',
        "[" * 100_000,
    ],
)
def test_a_damaged_shard_card_is_one_line(tmp_path, card):
    write(tmp_path, "a", range(2))
    (path,) = (tmp_path / "shards").glob("a-*/shard.json")
    path.write_text(card)
    with pytest.raises(DatasetError, match="complete shard"):
        ChunkStore(tmp_path)


@pytest.mark.parametrize(
    "meta", ["[]", "null", "3", "{}", '{"cameras": null}', '{"cameras": ["ego"], "horizon": null}']
)
def test_a_damaged_store_card_is_one_line(tmp_path, meta):
    write(tmp_path, "a", range(2))
    (tmp_path / "meta.json").write_text(meta)
    with pytest.raises(DatasetError, match=r"readable meta\.json"):
        ChunkStore(tmp_path)


def test_folders_of_other_names_are_no_shards(tmp_path):
    write(tmp_path, "a", range(2))
    (tmp_path / "shards" / "a-1 (copy)").mkdir()
    assert len(ChunkStore(tmp_path)) == 4
    write(tmp_path, "a", range(2, 4))
    assert len(ChunkStore(tmp_path)) == 8
