"""Malformed frames from a seeded generator: good ones damaged, hostile ones, noise."""

from __future__ import annotations

import pickle

import msgpack
import numpy as np
from remote_toys import VIEW, message

from xr0_sim.wire import pack

GOOD = pack(message())
LARGEST_FRAME = 200_000


class Bait:
    """Unpickled, it would say so by raising."""

    def __reduce__(self):
        return exec, ("raise SystemExit('unpickled')",)


PICKLE = pickle.dumps(Bait())
DTYPES = [
    "|O",
    "O",
    "|V8",
    "<U4",
    "|S4",
    "<c16",
    ">f8",
    "<M8[ns]",
    "f8,f8",
    "",
    "<f9",
    "object",
    "<f8",
]
SHAPES = [[2], [-1], [2**40, 2**40], [0], [1] * 9, [2.5], "2", None, [[2]], [True]]
VALUES = [
    None,
    True,
    -1,
    2**63,
    np.pi,
    float("nan"),
    "text",
    b"bytes",
    [],
    {},
    [1, [2, [3]]],
    PICKLE,
]


def damaged(rng):
    """A good frame with some bytes changed, cut, doubled or put in."""
    frame = bytearray(GOOD)
    for _ in range(int(rng.integers(1, 6))):
        at = int(rng.integers(len(frame)))
        kind = rng.integers(5)
        if kind == 0:
            frame[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            frame[at] = int(rng.integers(256))
        elif kind == 2:
            del frame[max(at, 1) : at + int(rng.integers(1, 40))]
        elif kind == 3:
            frame[at:at] = rng.bytes(int(rng.integers(1, 40)))
        else:
            del frame[max(at, 1) :]
    return bytes(frame)


def noise(rng):
    """Bytes that mean nothing; every other time they begin as a map does."""
    head = bytes([0x80 + int(rng.integers(16))]) if rng.integers(2) else b""
    return head + rng.bytes(int(rng.integers(0, 300)))


def hostile_array(rng):
    """A request with an array of a dtype, a shape or data that is none."""
    array = {
        b"__ndarray__": True,
        b"data": [bytes(16), PICKLE, "text", None][int(rng.integers(4))],
        b"dtype": DTYPES[int(rng.integers(len(DTYPES)))],
        b"shape": SHAPES[int(rng.integers(len(SHAPES)))],
    }
    return _with(rng, array)


def hostile_value(rng):
    """A request with an entry of another type."""
    return _with(rng, VALUES[int(rng.integers(len(VALUES)))])


def nested(rng):
    """Lists in lists, or lists and maps beside each other, more than anybody needs."""
    depth = int(rng.integers(100, 3000))
    opening = [b"\x91", b"\x81\xa1a"][int(rng.integers(2))]
    if rng.integers(2):
        return opening * depth + b"\xc0"
    return b"\x81\xa1x\xdd" + depth.to_bytes(4, "big") + b"\x80" * depth


def lengths(rng):
    """A header that promises up to four gigabytes."""
    header = [0xC6, 0xC9, 0xDB, 0xDD, 0xDF][int(rng.integers(5))]
    return b"\x81\xa1x" + bytes([header]) + rng.bytes(4) + rng.bytes(int(rng.integers(20)))


def pickled(rng):
    """A pickle, alone or as the data of a request."""
    return PICKLE if rng.integers(2) else msgpack.packb({"prompt": PICKLE, "robot": PICKLE})


def large(rng):
    """A good request with a large picture."""
    side = int(rng.integers(100, 250))
    return pack(message(images={VIEW: np.zeros((side, side, 3), np.uint8), "more": "x" * 1000}))


KINDS = [damaged, damaged, damaged, noise, hostile_array, hostile_value, nested, lengths, pickled]


def malformed_frames(seed, count):
    """Frames; every hundredth is text, every two-hundredth is large and good."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        if number % 200 == 199:
            yield large(rng)
        elif number % 100 == 99:
            yield "text " * int(rng.integers(50))
        else:
            yield KINDS[int(rng.integers(len(KINDS)))](rng)


def _with(rng, value):
    good = message()
    names = [*good, *good["robot"], VIEW, "prefix", "guide", "samples", "noise", "reset"]
    name = names[int(rng.integers(len(names)))]
    if name in good["robot"]:
        good["robot"] = good["robot"] | {name: value}
    elif name == VIEW:
        good["images"] = {VIEW: value}
    else:
        good[name] = value

    def packed(found):
        return pack_array(found) if isinstance(found, np.ndarray) else found

    def pack_array(found):
        return {
            b"__ndarray__": True,
            b"data": found.tobytes(),
            b"dtype": found.dtype.str,
            b"shape": list(found.shape),
        }

    return msgpack.packb(good, default=packed)
