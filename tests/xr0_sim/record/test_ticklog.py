import numpy as np
import pytest
from toys import Detour, DoubleIntegrator

from xr0_sim.errors import ConfigError, DatasetError
from xr0_sim.metrics import episode_metrics, reaction, summarise
from xr0_sim.metrics.reaction import earliest_reaction_ticks
from xr0_sim.perturb import AtInference, AtTick, FreezeCamera
from xr0_sim.record.ticklog import TICK_COLUMNS, TickLog, TickTable, read_ticklog, write_ticklog
from xr0_sim.runtime import Executor, LogNormal, NaiveAsync, PrefixAsync, run_episode


class Shifting(DoubleIntegrator):
    """A freeze stands in for a scene event: it moves the goal, which the models look up."""

    def freeze_camera(self, camera, duration_s):
        self.goal = -1.0


class Seeking(Detour):
    """Goes to the goal from either side."""

    def next_command(self, command, rng, observation):
        out = command.copy()
        out[0] += np.clip(observation.privileged - command[0], -self.speed, self.speed)
        return out


NAIVE = NaiveAsync(10)


def run(seed=0, events=(), strategy=NAIVE, max_ticks=80, model=Detour):
    log = TickLog()
    executor = Executor(model(), strategy, LogNormal(0.12, 0.03))
    result = run_episode(
        Shifting(), executor, [log], seed=seed, options={"events": events}, max_ticks=max_ticks
    )
    return result, log.table()


def test_same_seed_same_digest():
    digests = {run(seed=3)[1].digest() for _ in range(3)}
    assert len(digests) == 1
    assert run(seed=4)[1].digest() not in digests
    assert run(seed=3, strategy=PrefixAsync(10))[1].digest() not in digests


@pytest.mark.parametrize("name", TICK_COLUMNS)
def test_the_digest_covers_every_column(name):
    _, table = run(max_ticks=20)
    columns = dict(table.columns)
    changed = columns[name].copy()
    if changed.dtype == object:
        changed[0] += "!"
    elif changed.dtype == bool:
        changed[0] = ~changed[0]
    else:
        changed[0] = 7
    columns[name] = changed
    assert TickTable(columns).digest() != table.digest()


def test_a_file_reads_back_bit_by_bit(tmp_path):
    _, table = run(events=[FreezeCamera(trigger=AtTick(9))])
    path = tmp_path / "logs" / "episode.parquet"
    write_ticklog(table, path)
    back = read_ticklog(path)
    assert back.digest() == table.digest() == back.meta["digest"]
    assert back.meta["seed"] == 0 and back.meta["control_hz"] == 30
    assert back.meta["outcome"] == "success"
    for name in TICK_COLUMNS:
        assert back[name].dtype == table[name].dtype
        assert back[name].shape == table[name].shape
    assert back["events"][9] == "freeze_camera"
    assert [p.name for p in path.parent.iterdir()] == ["episode.parquet"]


class Counting(Detour):
    """Knows what an inference costs."""

    def flops(self, request):
        return 2e12 + len(request.prefix)


def test_costs_and_refreshes_are_kept_and_in_no_digest(tmp_path):
    _, plain = run(max_ticks=40)
    result, table = run(max_ticks=40, model=Counting)
    begun = table["started"] >= 0
    assert (table["flops"][begun] == 2e12).all() and np.isnan(table["flops"][~begun]).all()
    assert not table["refresh"].any() and table.digest() == plain.digest()
    write_ticklog(table, tmp_path / "new.parquet")
    assert np.array_equal(read_ticklog(tmp_path / "new.parquet")["flops"], table["flops"], True)
    older = TickTable({name: table[name] for name in TICK_COLUMNS}, table.meta)
    write_ticklog(older, tmp_path / "old.parquet")
    assert np.isnan(read_ticklog(tmp_path / "old.parquet")["flops"]).all()
    row = episode_metrics(result, table.columns, 30)
    assert row["compute_tflop"] == pytest.approx(2.0 * row["model_calls"])
    assert row["tflop_per_s"] == pytest.approx(row["compute_tflop"] / (40 / 30))
    assert np.isnan(episode_metrics(result, older.columns, 30)["compute_tflop"])


def test_a_count_that_is_none_is_refused():
    class Wrong(Counting):
        def flops(self, request):
            return -1.0

    with pytest.raises(ConfigError, match="expected a count >= 0 or None, got -1"):
        run(model=Wrong)


def test_an_empty_log_survives(tmp_path):
    table = TickLog().table()
    write_ticklog(table, tmp_path / "empty.parquet")
    assert len(read_ticklog(tmp_path / "empty.parquet")) == 0


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    def fail(frame, path, **options):
        path.write_bytes(b"half")
        raise OSError("disk full")

    _, table = run(max_ticks=5)
    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(OSError, match="disk full"):
        write_ticklog(table, tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "text.parquet").write_text("hello")
    pq.write_table(pa.table({"tick": [1]}), tmp_path / "other.parquet")
    for name, message in (
        ("missing", "expected a readable"),
        ("text", "expected a readable"),
        ("other", "expected columns time_ns"),
    ):
        with pytest.raises(DatasetError, match=message):
            read_ticklog(tmp_path / f"{name}.parquet")


def test_episode_figures_come_from_the_log():
    result, table = run(max_ticks=300)
    row = episode_metrics(result, table.columns, 30)
    assert row["success"] is True and row["time_to_success_s"] == result.duration_s
    assert row["seams"] == table["seam"].sum() > 3
    assert row["starved_ticks"] == table["hold"].sum() > 0
    assert row["model_calls"] == table["started"].max() + 1
    assert row["latency_mean_s"] == pytest.approx(0.12, abs=0.03)
    assert row["d_ceil_mean_ticks"] == pytest.approx(row["d_floor_mean_ticks"] + 1, abs=0.3)
    assert row["tool_jerk_left_m_s3"] > row["tool_jerk_right_m_s3"] == 0
    assert np.isnan(row["tool_sparc_right"])
    summary = summarise([row, episode_metrics(*run(seed=1)[:1], run(seed=1)[1].columns, 30)])
    assert summary.figures["success"].n == 2
    assert "seam_position_mean_rad" in summary.figures


def test_pieces_per_minute():
    result, table = run(max_ticks=60)
    object.__setattr__(result, "info", {**result.info, "pieces": 3})
    row = episode_metrics(result, table.columns, 30, pieces="bricks")
    assert row["bricks_per_min"] == pytest.approx(90.0)


def test_prefix_seams_are_smaller_than_naive_ones():
    naive, prefix = (
        episode_metrics(*(r := run(seed=2, strategy=s))[:1], r[1].columns, 30)
        for s in (NaiveAsync(10), PrefixAsync(10, 8))
    )
    assert prefix["seam_position_mean_rad"] < 1e-9
    assert naive["seam_position_mean_rad"] > 1e-5
    assert prefix["overrun_share"] == 0


@pytest.mark.parametrize(
    ("strategy", "place"),
    [
        (PrefixAsync(10, 6), "after_capture"),
        (PrefixAsync(10, 6), "in_prefix"),
        (PrefixAsync(10, 6), "before_handover"),
        (NaiveAsync(10), "after_capture"),
        (NaiveAsync(10), "before_handover"),
    ],
)
def test_a_run_and_its_twin_differ_at_the_earliest_tick_possible(strategy, place):
    _, twin = run(strategy=strategy, model=Seeking)
    events = [FreezeCamera(trigger=AtInference(place, 3))]
    result, table = run(strategy=strategy, events=events, model=Seeking)
    (event,) = result.events
    assert result.info["pending_events"] == ()
    capture = int(np.flatnonzero(table["started"] == 2)[0])
    delay = int(table["d_ceil"][capture])
    offset = {"after_capture": 1, "in_prefix": min(6, delay) // 2, "before_handover": delay - 1}
    assert event.tick == capture + offset[place] and table["inferring"][event.tick]
    earliest = earliest_reaction_ticks(
        event.tick, table["started"], table["d_ceil"], table["prefix_steps"]
    )
    found = reaction(table["action"], twin["action"], event.tick, 30, earliest_ticks=earliest)
    # This expert turns round at once, so nothing but the executor's timing is left.
    assert found.seconds == found.lower_bound_s == pytest.approx(earliest / 30)


def test_an_inference_without_a_prefix_leaves_the_event_pending():
    event = FreezeCamera(trigger=AtInference("in_prefix"))
    result, _ = run(strategy=NaiveAsync(10), events=[event])
    assert result.events == () and result.info["pending_events"] == (event,)
