"""Ten thousand malformed frames: nothing crashes, nothing is unpickled, memory stays as it is."""

import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from malformed import LARGEST_FRAME, malformed_frames
from remote_toys import message, server
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from policies.remote.wire import pack, unpack

PAGE = os.sysconf("SC_PAGE_SIZE")
GROWTH = 12 * 2**20
"""Resident memory that all frames after the first fifth may add [bytes]; chosen."""

_unpickled = []
_watching = False


def _hook(event, arguments):
    if _watching and event == "pickle.find_class":
        _unpickled.append(event)


sys.addaudithook(_hook)


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


@pytest.fixture
def watched():
    global _watching
    _unpickled.clear()
    _watching = True
    yield _unpickled
    _watching = False


def send_all(url, frames):
    """What came of every frame, on one connection as long as it lives."""
    found, sizes, socket = Counter(), [], None
    for frame in frames:
        if socket is None:
            socket = connect(url, compression=None, max_size=None).__enter__()
            unpack(socket.recv())
        socket.send(frame)
        try:
            reply = socket.recv(timeout=30)
        except ConnectionClosed:
            found["closed"] += 1
            socket = None
            continue
        if isinstance(reply, bytes):
            found["answered"] += unpack(reply)["actions"].shape == (12, 14)
        else:
            assert reply.startswith("refused: ") and "\n" not in reply and len(reply) < 500, reply
            found["refused"] += 1
        sizes.append(resident())
    if socket is not None:
        socket.close()
    return found, sizes


def check(count, seed, watched):
    with server(max_bytes=LARGEST_FRAME) as serving:
        found, sizes = send_all(serving.url, malformed_frames(seed, count))
        good, _ = send_all(serving.url, [pack(message())])
    assert good == {"answered": 1}
    assert sum(found.values()) == count
    assert found["refused"] > 0.6 * count and found["closed"] <= count // 100
    assert watched == []
    return sizes


def test_five_hundred_malformed_frames(watched):
    check(500, 1, watched)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc for the resident memory")
def test_ten_thousand_malformed_frames_and_memory_stays_as_it_is(watched):
    sizes = check(10_000, 2, watched)
    assert max(sizes[len(sizes) // 5 :]) - sizes[len(sizes) // 5] < GROWTH


def test_the_hook_would_notice(watched):
    import pickle

    from malformed import PICKLE

    with pytest.raises(SystemExit):
        pickle.loads(PICKLE)
    assert "pickle.find_class" in watched
