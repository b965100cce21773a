"""openpi-client against a server of ours; runs where that package is, with nothing of ours.

``python stock_client.py PORT [KEY]`` prints what it saw as one JSON object.
"""

import json
import sys

import numpy as np
from openpi_client.websocket_client_policy import WebsocketClientPolicy


def observation(views, size, tick):
    robot = {
        "joint_pos": np.full((2, 6), 0.1),
        "joint_vel": np.zeros((2, 6), np.float32),
        "jaw": np.array([0.2, 0.8]),
        "tool_pos": np.zeros((2, 3)),
        "tool_quat": np.tile([1.0, 0.0, 0.0, 0.0], (2, 1)),
        "command": np.linspace(-1, 1, 14),
    }
    picture = np.full((size, size, 3), 128, np.uint8)
    return {
        "robot": robot,
        "images": {name: picture for name in views},
        "prompt": "sort the bricks",
        "tick": tick,
        "state": np.zeros(14),
    }


def main(port, key=None):
    policy = WebsocketClientPolicy("127.0.0.1", int(port), key)
    metadata = policy.get_server_metadata()
    chunks = [
        policy.infer(observation(metadata["views"], metadata["image_size"] or 8, tick))
        for tick in range(3)
    ]
    prefix = np.arange(28.0).reshape(2, 14) / 100
    with_prefix = policy.infer(
        observation(metadata["views"], metadata["image_size"] or 8, 3) | {"prefix": prefix}
    )
    try:
        policy.infer({"prompt": "nothing else"})
        refused = ""
    except RuntimeError as error:
        refused = str(error)
    again = policy.infer(observation(metadata["views"], metadata["image_size"] or 8, 4))
    found = {
        "horizon": metadata["horizon"],
        "dtype": chunks[0]["actions"].dtype.str,
        "chunks": [chunk["actions"].tolist() for chunk in chunks],
        "prefix_kept": bool((with_prefix["actions"][:2] == prefix).all()),
        "refused": refused,
        "infer_ms": again["server_timing"]["infer_ms"],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
