"""Ten thousand malformed frames: nothing crashes, nothing is unpickled, memory stays as it is."""

import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from malformed import LARGEST_FRAME, malformed_frames
from remote_toys import HORIZON, Toy, message, served, server
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from policies.remote.session import LatencyRecord, Session
from xr0_sim.wire import pack, unpack

PAGE = os.sysconf("SC_PAGE_SIZE")
GROWTH = 2 * 2**20
"""Resident memory that all frames after the first fifth may add [bytes]; chosen. msgpack before
1.2.1 loses what it had read of a malformed frame: 45 MB for these."""

_unpickled = []
_watching = False


def _hook(event, arguments):
    if _watching and event == "pickle.find_class":
        _unpickled.append(event)


sys.addaudithook(_hook)


def resident():
    """Memory in use [bytes]; 0 where no page says so."""
    if sys.platform != "linux":
        return 0
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


@pytest.fixture
def watched():
    global _watching
    _unpickled.clear()
    _watching = True
    yield _unpickled
    _watching = False


def kind_of(reply):
    if isinstance(reply, bytes):
        return "answered" if unpack(reply)["actions"].shape == (HORIZON, 14) else "wrong"
    right = reply.startswith("refused: ") and "\n" not in reply and len(reply) < 500
    return "refused" if right else "wrong"


def send_all(url, frames):
    """What came of every frame, on one connection as long as it lives, and the memory taken."""
    found, sizes, socket = Counter(), [], None
    for frame in frames:
        if socket is None:
            socket = connect(url, compression=None, max_size=None).__enter__()
            unpack(socket.recv())
        socket.send(frame)
        try:
            found[kind_of(socket.recv(timeout=30))] += 1
        except ConnectionClosed:
            found["closed"] += 1
            socket = None
        if sum(found.values()) % 20 == 0:
            sizes.append(resident())
    if socket is not None:
        socket.close()
    return found, sizes


def over_the_wire(count, seed):
    with server(Toy(keeps=False), max_bytes=LARGEST_FRAME) as serving:
        found, sizes = send_all(serving.url, malformed_frames(seed, count))
        good, _ = send_all(serving.url, [pack(message())])
    assert good == {"answered": 1}
    return found, sizes


def check(found, sizes, count):
    assert sum(found.values()) == count and not found["wrong"], found
    assert found["refused"] > 0.6 * count and found["closed"] <= count // 100, found
    later = sizes[len(sizes) // 5 :]
    assert max(later) - later[0] < GROWTH


def test_ten_thousand_malformed_frames(watched):
    talk, found, sizes = Session(served(Toy(keeps=False)), LatencyRecord()), Counter(), []
    for frame in malformed_frames(2, 10_000):
        reply = talk.answer(frame, 0.0)
        assert not reply.broken
        found[kind_of(reply.frame)] += 1
        if sum(found.values()) % 20 == 0:
            sizes.append(resident())
    check(found, sizes, 10_000)
    assert watched == []


def test_two_hundred_malformed_frames_over_the_wire(watched):
    check(*over_the_wire(200, 1), 200)
    assert watched == []


@pytest.mark.slow
def test_ten_thousand_malformed_frames_over_the_wire(watched):
    check(*over_the_wire(10_000, 3), 10_000)
    assert watched == []


def test_the_hook_would_notice(watched):
    import pickle

    from malformed import PICKLE

    with pytest.raises(SystemExit):
        pickle.loads(PICKLE)
    assert "pickle.find_class" in watched
