import logging
import time

import numpy as np
import pytest
from remote_toys import HORIZON, VIEW, Toy, message, request, served

from envs.robot.actions import join_arms
from policies.remote.messages import read_answer, read_request, request_message
from policies.remote.session import LatencyRecord, Session
from xr0_sim.types import Guide
from xr0_sim.wire import pack, unpack


def session(model=None, **facts):
    return Session(served(model, **facts), LatencyRecord())


def answer(talk, changed=None, **more):
    return talk.answer(pack(message(**(changed or {}), **more)), time.perf_counter())


def refusal(talk, **changed):
    reply = answer(talk, changed)
    assert isinstance(reply.frame, str) and not reply.broken, reply
    assert "\n" not in reply.frame and "Traceback" not in reply.frame
    return reply.frame


def test_a_request_is_the_same_after_the_wire():
    guide = Guide(np.ones((3, 14)), np.array([1.0, 0.5, 0]), 2.5)
    sent = request(4, guide=guide, samples=3, assumed=np.full((2, 14), 0.3), noise="tick")
    got = read_request(unpack(pack(request_message(sent, (VIEW,), 99))), (VIEW,))
    assert got.reset == 99 and got.counted
    assert got.request.noise_seed == sent.noise_seed and got.request.noise == "tick"
    assert got.request.samples == 3 and got.request.needs == sent.needs
    for name in ("prefix", "assumed"):
        assert np.array_equal(getattr(got.request, name), getattr(sent, name))
    assert np.array_equal(got.request.guide.weights, guide.weights)
    assert got.request.guide.strength == 2.5
    seen, was = got.request.observation, sent.observation
    assert (seen.tick, seen.time_ns, seen.instruction) == (was.tick, was.time_ns, was.instruction)
    assert np.array_equal(seen.images[VIEW], was.images[VIEW])
    for name, value in vars(was.robot).items():
        assert np.array_equal(getattr(seen.robot, name), value), name


def test_the_state_is_in_the_order_of_an_action():
    seen = request().observation.robot
    assert np.array_equal(message()["state"], join_arms(seen.joint_pos, seen.jaw))


def test_an_answer_is_the_chunk_of_the_model_bit_for_bit():
    sent = request(2)
    reply = session().answer(pack(request_message(sent, (VIEW,))), time.perf_counter())
    found = unpack(reply.frame)
    (chunk,) = read_answer(found, sent)
    (expected,) = Toy().infer_request(sent)
    assert np.array_equal(chunk.actions, expected.actions) and chunk.first_tick == 7
    assert set(found["server_timing"]) == {"infer_ms", "wait_ms"}


def test_several_samples_are_stacked():
    sent = request(samples=3)
    reply = session().answer(pack(request_message(sent, (VIEW,))), time.perf_counter())
    assert unpack(reply.frame)["actions"].shape == (3, HORIZON, 14)
    chunks = read_answer(unpack(reply.frame), sent)
    assert len({chunk.actions.tobytes() for chunk in chunks}) == 3


def test_an_episode_begins_with_its_seed_and_a_client_that_counts_nothing_is_counted_for():
    model = Toy()
    talk = session(model)
    answer(talk, reset=41)
    answer(talk)
    answer(talk, reset=42)
    assert model.resets == [41, 42]
    model = Toy()
    talk = session(model)
    for _ in range(3):
        answer(talk, noise_seed=None)
    assert model.resets == [0]
    assert [asked.noise_seed for asked in model.seen] == [(0, 0), (0, 1), (0, 2)]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"prompt": None}, "'prompt'"),
        ({"prompt": b"text"}, "'prompt'"),
        ({"prompt": "x" * 2000}, "'prompt'"),
        ({"robot": None}, "'robot'"),
        ({"robot": {}}, "joint_pos"),
        ({"images": {}}, "missing ['base']"),
        ({"images": {VIEW: np.zeros((4, 4, 3))}}, "(H, W, 3) uint8"),
        ({"images": {VIEW: np.zeros((3, 4, 4), np.uint8)}}, "(H, W, 3) uint8"),
        ({"images": {VIEW: np.zeros((0, 4, 3), np.uint8)}}, "(H, W, 3) uint8"),
        ({"tick": -1}, "'tick'"),
        ({"tick": 1.5}, "'tick'"),
        ({"tick": True}, "'tick'"),
        ({"noise_seed": [1]}, "'noise_seed'"),
        ({"noise_seed": [-1, 2]}, "'noise_seed'"),
        ({"prefix": np.zeros((2, 13))}, "'prefix'"),
        ({"prefix": np.zeros((2, 14), np.int32)}, "'prefix'"),
        ({"prefix": np.full((2, 14), np.nan)}, "'prefix'"),
        ({"prefix": [[0.0] * 14]}, "'prefix'"),
        ({"prefix": np.zeros((HORIZON + 1, 14))}, "at most 12 rows"),
        ({"prefix": np.zeros((1001, 14))}, "at most 1000 rows"),
        ({"samples": 0}, "'samples'"),
        ({"samples": 65}, "'samples'"),
        ({"noise": "pink"}, "'noise'"),
        ({"reset": "now"}, "'reset'"),
        ({"guide": 3}, "'guide'"),
        (
            {"guide": {"actions": np.zeros((1, 14)), "weights": np.ones(1), "strength": 5.0}},
            "guide",
        ),
        ({"assumed": np.zeros((1, 14))}, "without roll_forward"),
        ({"noise": "tick"}, "without tick_noise"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_with_one_line_and_the_next_is_answered(
    changed, words
):
    talk = session()
    assert words in refusal(talk, **changed)
    assert isinstance(answer(talk).frame, bytes)


def test_a_prefix_is_refused_by_a_policy_without_the_capability():
    talk = session(capabilities=frozenset())
    assert "without prefix" in refusal(talk, prefix=np.zeros((2, 14)))


def test_text_is_refused():
    reply = session().answer("hello", time.perf_counter())
    assert reply.frame == "refused: frame: expected a binary one, got text"


def test_a_policy_that_fails_leaves_its_trace_in_the_log_alone(caplog):
    with caplog.at_level(logging.ERROR):
        reply = answer(session(Toy(fault=RuntimeError("secret /path"))))
    assert reply.broken and "secret" not in reply.frame and "\n" not in reply.frame
    assert "secret" in caplog.text


def test_latencies_are_counted():
    record = LatencyRecord()
    assert record.summary() == {"n": 0}
    talk = Session(served(Toy(sleep_s=0.01)), record)
    answer(talk), answer(talk)
    found = record.summary()
    assert found["n"] == 2 and 10 <= found["median"] <= found["p95"]
