import pickle
import struct

import msgpack
import numpy as np
import pytest

from xr0_sim.wire import DTYPES, MOST_CONTAINERS, MOST_MEMBERS, WireError, pack, unpack


def array(dtype="<f8", shape=(2,), data=bytes(16), **more):
    return {b"__ndarray__": True, b"data": data, b"dtype": dtype, b"shape": list(shape)} | more


def scalar(dtype, data):
    return {b"__npgeneric__": True, b"data": data, b"dtype": dtype}


def frame(value):
    return msgpack.packb({"x": value})


def test_the_bytes_of_an_array_are_those_of_openpi():
    expected = (
        "81a178"  # a map of one entry, "x"
        "84c40b5f5f6e6461727261795f5fc3"  # a map of four: b"__ndarray__": true
        "c40464617461c4080000803f000000c0"  # b"data": 8 bytes
        "c4056474797065a33c6634"  # b"dtype": "<f4"
        "c40573686170659102"  # b"shape": [2]
    )
    assert pack({"x": np.array([1, -2], "<f4")}).hex() == expected


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_arrays_and_array_scalars_come_back_as_they_were(dtype):
    values = np.arange(6).reshape(2, 3).astype(dtype)
    found = unpack(
        pack({"a": values, "turned": values.T, "empty": values[:0], "one": values[1, 2]})
    )
    for name, expected in (("a", values), ("turned", values.T), ("empty", values[:0])):
        assert found[name].dtype == values.dtype and found[name].shape == expected.shape
        assert np.array_equal(found[name], expected)
    # A float64 scalar is a float of Python's, for msgpack as for openpi.
    assert found["one"] == values[1, 2] and np.asarray(found["one"]).dtype == values.dtype
    assert not found["a"].flags.writeable


def test_plain_values_come_back_as_they_were():
    value = {"text": "Λ", "n": [1, -2, 2**63], "f": 0.1, "no": None, "yes": True, "map": {"a": {}}}
    assert unpack(pack(value)) == value


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, np.array([object()]), np.array(["a"]), np.zeros(2, ">f8"), 2**70]
)
def test_what_has_no_form_is_not_written(value):
    with pytest.raises(WireError):
        pack({"x": value})


@pytest.mark.parametrize(
    "hostile",
    [
        frame(array("|O", (2,), pickle.dumps([1, 2]))),
        frame(array("O", (2,))),
        frame(array("|V8", (2,))),
        frame(array("<U2", (2,))),
        frame(array("<c16", (1,))),
        frame(array("<M8[ns]", (2,))),
        frame(array(">f8", (2,))),
        frame(array("f8,f8", (1,))),
        frame(array([["a", "<f8"]], (2,))),
        frame(array(b"<f8", (2,))),
        frame(array(shape=(3,))),
        frame(array(shape=(-2,))),
        frame(array(shape=(-1, -2))),
        frame(array(shape=(2.0,))),
        frame(array(shape=(True, 2))),
        frame(array(shape=(2**62, 2**62))),
        frame(array(shape=(0, 2**63)))[:-3],
        frame(array(shape=(1, 1, 1, 1, 2))),
        frame(array(data="0" * 16)),
        frame(array() | {b"shape": 2}),
        frame(array(more=1)),
        frame({b"__ndarray__": True}),
        frame({b"__ndarray__": 1, b"data": bytes(16), b"dtype": "<f8", b"shape": [2]}),
        frame({b"__npgeneric__": True}),
        frame(scalar("|u1", 300)),
        frame(scalar("<i4", 1.5)),
        frame(scalar("|b1", 7)),
        frame(scalar("|O", "x")),
        frame(scalar("<f8", [1.0])),
        frame({b"bytes": 1}),
        msgpack.packb({1: 2}),
        msgpack.packb({(1, 2): 2}, use_bin_type=True),
        msgpack.packb([1, 2]),
        msgpack.packb(np.pi),
        frame(msgpack.ExtType(5, b"")),
        frame(msgpack.ExtType(5, b"data")),
        frame(msgpack.Timestamp(1)),
        frame(1) + b"\x00",
        frame(1)[:-1],
        b"",
        b"\xc1",
        b"\x81\xa1\xff\x01",
        b"\x81\xa1x" + b"\x91" * 5000 + b"\xc0",
        b"\xdf\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\x81\xa1x\xc6" + struct.pack(">I", 2**32 - 1),
        frame([[]] * (MOST_CONTAINERS + 1)),
        frame([{}] * (MOST_CONTAINERS + 1)),
        frame([0] * (MOST_MEMBERS + 1)),
        msgpack.packb({str(k): 0 for k in range(MOST_MEMBERS + 1)}),
        pickle.dumps({"x": 1}),
    ],
    ids=range(51),
)
def test_what_the_protocol_does_not_allow_is_refused_with_one_line(hostile):
    with pytest.raises(WireError) as error:
        unpack(hostile)
    assert "\n" not in str(error.value) and len(str(error.value)) < 250


def test_a_small_frame_cannot_become_many_objects():
    bomb = b"\x81\xa1x" + b"\xdc\x04\x00" + b"\x80" * 1024
    with pytest.raises(WireError, match="at most 256 maps"):
        unpack(bomb)


def test_bytes_that_are_too_few_or_too_many_are_counted():
    for shape in ((3,), (1,)):
        with pytest.raises(WireError, match=f"expected {8 * shape[0]} bytes for its .* got 16"):
            unpack(frame(array(shape=shape)))
