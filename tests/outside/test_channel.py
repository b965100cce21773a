import socket
import struct
import threading

import msgpack
import numpy as np
import pytest

from xr0_sim.outside.channel import Channel
from xr0_sim.wire import WireError


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    yield Channel(ours, max_bytes=2**20), theirs
    ours.close()
    theirs.close()


def test_a_map_comes_as_it_was_sent(pair):
    channel, raw = pair
    picture = np.arange(3 * 64 * 64, dtype=np.uint8).reshape(64, 64, 3)
    value = {"call": "x", "picture": picture, "nested": {"a": [1, 2.5, "b", None, True]}}
    Channel(raw).send(value)
    found = channel.receive(5.0)
    assert np.array_equal(found.pop("picture"), picture)
    assert found == {k: v for k, v in value.items() if k != "picture"}


def test_a_frame_that_comes_in_pieces_is_one(pair):
    channel, raw = pair
    frame = msgpack.packb({"a": "b" * 1000})
    pieces = struct.pack(">I", len(frame)) + frame

    def drip():
        for start in range(0, len(pieces), 100):
            raw.sendall(pieces[start : start + 100])

    thread = threading.Thread(target=drip)
    thread.start()
    assert channel.receive(5.0) == {"a": "b" * 1000}
    thread.join()


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (struct.pack(">I", 0), "1 .. 1048576 bytes, got 0"),
        (struct.pack(">I", 2**20 + 1), "got 1048577"),
        (b"\xff\xff\xff\xff", "got 4294967295"),
        (struct.pack(">I", 3) + b"\x93\x01\x02", "one msgpack value"),
        (struct.pack(">I", 1) + b"\x90", "expected a map, got list"),
        (struct.pack(">I", 3) + b"\xd4\x01a", "max_ext_len"),
    ],
)
def test_what_is_no_frame_is_one_line(pair, sent, words):
    channel, raw = pair
    raw.sendall(sent)
    with pytest.raises(WireError, match=words) as caught:
        channel.receive(1.0)
    assert "\n" not in str(caught.value)


def test_random_bytes_break_nothing(pair):
    rng = np.random.default_rng(5)
    for _ in range(300):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            body = rng.bytes(int(rng.integers(1, 60)))
            theirs.sendall(struct.pack(">I", len(body)) + body)
            try:
                assert isinstance(Channel(ours).receive(1.0), dict)
            except WireError:
                pass


def test_objects_are_never_taken(pair):
    channel, raw = pair
    hostile = {
        b"__ndarray__": True,
        b"data": b"cos\nsystem\n(S'true'\ntR.",
        b"dtype": "|O",
        b"shape": [1],
    }
    frame = msgpack.packb({"x": hostile})
    raw.sendall(struct.pack(">I", len(frame)) + frame)
    with pytest.raises(WireError, match="dtype"):
        channel.receive(1.0)
    with pytest.raises(WireError, match="got object"):
        channel.send({"x": object()})


def test_a_late_or_closed_end_is_told_apart(pair):
    channel, raw = pair
    raw.sendall(b"\x00\x00")
    with pytest.raises(TimeoutError):
        channel.receive(0.1)
    raw.close()
    with pytest.raises(EOFError):
        channel.receive(1.0)


def test_what_is_too_large_is_not_sent(pair):
    channel, raw = pair
    with pytest.raises(WireError, match="to send"):
        channel.send({"x": np.zeros(2**18)})
    channel.send({"x": 1})
    assert Channel(raw).receive(1.0) == {"x": 1}
