"""A server of stock parts, websockets and openpi-client's msgpack_numpy, with nothing of ours.

``python stock_server.py`` prints its port; it answers with the measured state and ends with stdin.
"""

import sys
import threading

import numpy as np
from openpi_client import msgpack_numpy
from websockets.sync.server import serve

HORIZON = 10


def talk(connection):
    packer = msgpack_numpy.Packer()
    connection.send(packer.pack({"policy": "stock", "reset_pose": [0.0] * 14}))
    for frame in connection:
        asked = msgpack_numpy.unpackb(frame)
        assert asked["state"].shape == (14,) and isinstance(asked["prompt"], str)
        assert all(image.dtype == np.uint8 for image in asked["images"].values())
        actions = np.tile(asked["state"], (HORIZON, 1)).astype(np.float32)
        timing = {"infer_ms": np.float64(1.5)}
        connection.send(packer.pack({"actions": actions, "server_timing": timing}))


def packed():
    """Frames of the stock packer, in hex, for a comparison byte by byte."""
    values = [
        {"x": np.arange(6, dtype=dtype).reshape(2, 3)}
        for dtype in ("u1", "i2", "u4", "i8", "f2", "f4", "f8")
    ]
    values += [{"t": np.arange(6.0).reshape(2, 3).T}, {"b": np.array([True, False])}]
    values += [{"s": np.float32(1.5), "i": np.int16(-3), "f": np.float64(0.1)}]
    values += [{"m": {"text": "Λ", "n": [1, -2, None, True, 0.5]}, "e": np.zeros((0, 14))}]
    return [msgpack_numpy.packb(value).hex() for value in values]


def main():
    with serve(talk, "127.0.0.1", 0, compression=None, max_size=None) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        print(serving.socket.getsockname()[1], *packed(), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
