import json
import threading
import time

import numpy as np
import pytest
from remote_toys import HORIZON, Toy, description, request, robot, server
from websockets.sync.server import serve

from envs.plant import EnvPlant
from envs.tasks import make_env
from experiments.cli import main
from policies.remote.chunk_model import RemoteChunkModel
from policies.remote.connection import Connection
from policies.remote.description import Description
from policies.remote.policy import Remote
from policies.table import policy_spec
from xr0_sim.conventions import CAMERAS
from xr0_sim.errors import ConfigError, PolicyLostError
from xr0_sim.record import TickLog
from xr0_sim.runtime import Executor, NaiveAsync, PrefixAsync, Sync, run_episode
from xr0_sim.runtime.latency.base import LatencyContext
from xr0_sim.runtime.latency.models import Constant
from xr0_sim.runtime.latency.traces import Trace
from xr0_sim.wire import pack, unpack

BLIND = {"views": (), "image_size": None}


class Blind(Toy):
    needs_images = False
    views = ()


class OtherServer:
    """A server that is not ours: metadata and answers as given, on any free port."""

    def __init__(self, metadata, answer):
        self.metadata, self.answer, self.asked = metadata, answer, []

    def talk(self, connection):
        if self.metadata is not None:
            connection.send(self.metadata)
        for frame in connection:
            self.asked.append(unpack(frame))
            reply = self.answer(self.asked[-1])
            if reply is None:
                connection.close(1011)
                return
            connection.send(reply)

    def __enter__(self):
        self.serving = serve(self.talk, "127.0.0.1", 0, compression=None)
        threading.Thread(target=self.serving.serve_forever, daemon=True).start()
        self.url = f"ws://127.0.0.1:{self.serving.socket.getsockname()[1]}"
        return self

    def __exit__(self, *_):
        self.serving.shutdown()


def actions_of(message):
    rows = np.tile(np.asarray(message["state"], np.float32), (10, 1))
    return pack({"actions": rows})


@pytest.fixture(scope="module")
def plant():
    return EnvPlant(make_env("block_dismantling"))


def bound(url, plant, **fields):
    return Remote(url=url, **fields).load(None).bind(plant.env)


def episode(plant, model, strategy, latency=0.08, seed=0, max_ticks=60, watchers=()):
    executor = Executor(model, strategy, Constant(latency))
    log = TickLog()
    result = run_episode(
        plant, executor, [log, *watchers], seed=seed, max_ticks=max_ticks, images=False
    )
    return result, log.table()


class StopAt:
    """Stops a server in the middle of an episode."""

    def __init__(self, tick, stop):
        self.tick, self.stop = tick, stop

    def on_reset(self, start):
        pass

    def on_tick(self, sample):
        if sample.record.tick == self.tick:
            self.stop()

    def on_event(self, event):
        pass

    def on_end(self, result):
        pass


@pytest.mark.parametrize("strategy", [Sync(5), NaiveAsync(5), PrefixAsync(5)])
def test_a_remote_episode_is_the_local_one_bit_for_bit(plant, strategy):
    with server(facts=BLIND, model=Blind()) as serving:
        _, remote = episode(plant, bound(serving.url, plant), strategy)
    _, local = episode(plant, Blind(), strategy)
    assert remote.digest() == local.digest()


def test_the_injected_latency_counts_and_the_measured_one_does_not(plant):
    digests = set()
    for sleep_s in (0.0, 0.03):
        with server(facts=BLIND, model=Blind(sleep_s)) as serving:
            _, table = episode(plant, bound(serving.url, plant), PrefixAsync(5), 0.08)
        digests.add(table.digest())
        assert set(table["latency_s"][table["started"] >= 0]) == {0.08}
    assert len(digests) == 1


def test_measured_round_trips_can_be_replayed(plant, tmp_path):
    file = tmp_path / "new" / "cluster.csv"
    for _ in range(2):
        with server(facts=BLIND, model=Blind(0.01)) as serving:
            model = bound(serving.url, plant, measured=str(file))
            _, table = episode(plant, model, Sync(5), max_ticks=20)
    lines = file.read_text().splitlines()
    assert lines[0] == "latency_ms,infer_ms,wait_ms"
    assert len(lines) == 1 + 2 * (table["started"] >= 0).sum()
    total, inferring, waiting = (float(cell) for cell in lines[1].split(","))
    assert total > inferring >= 10 and waiting >= 0
    first = Trace(str(file)).sample(None, LatencyContext(0, 0, False, None))
    assert first == pytest.approx(total / 1e3)


def test_a_server_that_dies_in_the_middle_makes_the_episode_invalid_and_the_next_goes_on(plant):
    serving = server(facts=BLIND, model=Blind()).start()
    model = bound(serving.url, plant)
    result, _ = episode(plant, model, Sync(5), watchers=[StopAt(11, serving.stop)])
    assert result.outcome == "invalid" and result.ticks < 20
    assert result.invalid_reason.startswith(f"remote policy {serving.url}: ")
    with server(facts=BLIND, model=Blind(), port=serving.port):
        result, table = episode(plant, model, Sync(5))
    assert result.outcome == "failure" and result.ticks == 60
    assert table.digest() == episode(plant, Blind(), Sync(5))[1].digest()


def test_a_server_that_stays_away_ends_the_run_in_one_line(plant):
    serving = server(facts=BLIND, model=Blind()).start()
    model = bound(serving.url, plant, connect_s=0.5)
    serving.stop()
    with pytest.raises(ConfigError, match=r"expected a policy server, got .*run the same command"):
        episode(plant, model, Sync(5))


def test_another_policy_after_a_loss_is_refused(plant):
    serving = server(facts=BLIND, model=Blind()).start()
    model = bound(serving.url, plant)
    serving.stop()
    with server(facts=BLIND | {"digest": "new"}, model=Blind(), port=serving.port):
        with pytest.raises(ConfigError, match=r"expected toy with digest abc.* got toy with .*new"):
            episode(plant, model, Sync(5))


def test_an_answer_that_does_not_come_in_time_makes_the_episode_invalid(plant):
    with server(facts=BLIND, model=Blind(sleep_s=0.5)) as serving:
        result, _ = episode(plant, bound(serving.url, plant, answer_s=0.1), Sync(5))
    assert result.outcome == "invalid" and "no answer within 0.1 s" in result.invalid_reason


def test_a_server_that_comes_up_later_is_waited_for():
    with server() as serving:
        port = serving.port
    late = server(port=port)
    timer = threading.Timer(0.4, late.start)
    timer.start()
    found = Connection(f"ws://127.0.0.1:{port}", connect_s=10).open()
    timer.join()
    late.stop()
    assert found["policy"] == "toy"


def test_nobody_there_is_said_within_the_time_that_was_given():
    with server() as serving:
        url = serving.url
    began = time.monotonic()
    with pytest.raises(ConfigError, match=r"expected a policy server, got .*refused"):
        Remote(url=url, connect_s=0.5).load(None)
    assert time.monotonic() - began < 10


def test_the_key_comes_from_the_environment(monkeypatch):
    with server(api_key="k") as serving:
        monkeypatch.delenv("XR0_SIM_API_KEY", raising=False)
        with pytest.raises(ConfigError, match=r"got HTTP 401; set XR0_SIM_API_KEY"):
            Remote(url=serving.url).load(None)
        monkeypatch.setenv("XR0_SIM_API_KEY", "k")
        assert Remote(url=serving.url).load(None).image_size == 96


def test_a_policy_is_held_to_its_digest():
    with server() as serving:
        with pytest.raises(ConfigError, match="expected the one with digest 123, got toy with"):
            Remote(url=serving.url, digest="123").load(None)
        assert Remote(url=serving.url, digest="abc").load(None).looks


def test_what_the_server_wants_to_see_is_rendered_and_sent():
    with server() as serving:
        policy = Remote(url=serving.url).load(None)
        assert policy.looks and policy.image_size == 96
    with server(facts=BLIND) as serving:
        assert not Remote(url=serving.url).load(None).looks


def test_a_server_that_is_not_ours_is_sent_all_pictures_and_no_prefix(plant):
    with OtherServer(pack({}), actions_of) as other:
        model = bound(other.url, plant, horizon=10)
        assert model.capabilities == frozenset() and model.remembers
        with pytest.raises(
            ConfigError, match=r"PrefixAsync: expected a chunk model that can do pre"
        ):
            Executor(model, PrefixAsync(5))
        with pytest.raises(ConfigError, match="without prefix, which its server does not know"):
            model.infer_request(request(2))
        executor = Executor(model, Sync(5))
        seen = request().observation
        seen = type(seen)(0, 0, robot(), dict.fromkeys(CAMERAS, seen.images["base"]), "fold")
        executor.reset(3, seen.robot.command)
        record = executor.tick(lambda: seen)
    assert np.array_equal(record.action, np.float32([0.1] * 6 + [0.2] + [0.1] * 6 + [0.8]))
    (asked,) = other.asked
    assert set(asked["images"]) == set(CAMERAS) and asked["prompt"] == "fold"
    assert asked["reset"] == 3 and asked["noise_seed"] == [3, 0]


@pytest.mark.parametrize(
    ("metadata", "answer", "fields", "words"),
    [
        (pack({}), actions_of, {}, "expected metadata with a horizon, got none; say it"),
        (
            pack({"horizon": 30}),
            actions_of,
            {"horizon": 10},
            "expected 10 rows, got a server with 30",
        ),
        (pack({"horizon": "x"}), actions_of, {}, "metadata 'horizon': expected a whole number"),
        (pack({"views": ["top"]}), actions_of, {}, "metadata 'views': expected names out of base"),
        (b"\x00\x01", actions_of, {}, "expected a frame of openpi's protocol"),
        ("Traceback\n  File\nValueError: no", actions_of, {}, "ValueError: no"),
        (
            pack({"control_hz": 50}),
            actions_of,
            {"horizon": 9},
            "expected rows at 30 Hz, got a policy",
        ),
        (pack({}), lambda _: "Traceback\n File\nKeyError: 'x'", {"horizon": 10}, "KeyError: 'x'"),
        (pack({}), lambda _: b"junk", {"horizon": 10}, "expected a frame of openpi's protocol"),
        (pack({}), lambda _: pack({"a": 1}), {"horizon": 10}, "expected 'actions'"),
        (
            pack({}),
            lambda _: pack({"actions": np.zeros((2, 7))}),
            {"horizon": 10},
            "expected shape",
        ),
        (
            pack({}),
            lambda _: pack({"actions": np.full((10, 14), np.nan)}),
            {"horizon": 10},
            "expected finite values",
        ),
        (
            pack({}),
            lambda _: pack({"actions": np.zeros((9, 14))}),
            {"horizon": 10},
            "got 9 from tick",
        ),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(plant, metadata, answer, fields, words):
    with OtherServer(metadata, answer) as other, pytest.raises(ConfigError) as error:
        model = bound(other.url, plant, **fields)
        seen = request().observation
        seen = type(seen)(0, 0, robot(), dict.fromkeys(CAMERAS, seen.images["base"]), "fold")
        executor = Executor(model, Sync(5))
        executor.reset(0, seen.robot.command)
        executor.tick(lambda: seen)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_a_server_that_hangs_up_is_lost(plant):
    with OtherServer(pack({"views": []}), lambda _: None) as other:
        model = bound(other.url, plant, horizon=10)
        with pytest.raises(PolicyLostError):
            model.infer_request(request())
        with pytest.raises(PolicyLostError, match="the connection was lost"):
            model.infer_request(request())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("remote:url=http://x:1", "expected ws://host:port"),
        ("remote:url=127.0.0.1:8000", "expected ws://host:port"),
        ("remote:url=ws://me:secret@host:1", "expected no name and password"),
        ("remote:answer_s=0", "expected 0.01 .. 3600 s"),
        ("remote:horizon=-1", "expected 0 .. 10000 rows"),
        ("remote:hots=x", "unknown field"),
    ],
)
def test_fields_that_do_not_fit_are_refused(text, words):
    with pytest.raises(ConfigError) as error:
        policy_spec(text)
    assert words in str(error.value)


def test_the_model_needs_a_horizon():
    with pytest.raises(ConfigError, match="remote:horizon=30"):
        RemoteChunkModel(Connection("ws://127.0.0.1:1"), Description())
    assert RemoteChunkModel(Connection("ws://x:1"), description()).horizon == HORIZON


REALTIME = "realtime --world 0.1 --event none --seconds 0.1 --max-seconds 0.5 --seed 704 --json"


def test_a_server_that_tells_its_rate_and_has_short_chunks_answers_in_real_time(tmp_path, capsys):
    with server() as there:
        words = [
            "--policy",
            f"remote:url={there.url}",
            "--strategy",
            "naive_async:execution_horizon=6",
        ]
        assert main([*REALTIME.split(), *words, "--out", str(tmp_path / "run")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["repeated"]["value"] == found["repeated"]["n"] == 1


def test_a_server_at_another_rate_is_refused_in_real_time(tmp_path, capsys):
    with server(facts={"control_hz": 50}) as there:
        words = ["--policy", f"remote:url={there.url}", "--out", str(tmp_path / "run")]
        assert main([*REALTIME.split(), *words]) == 2
    assert "expected rows at 30 Hz, got a policy at 50 Hz" in capsys.readouterr().err
