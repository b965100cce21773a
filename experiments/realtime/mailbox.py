"""Requests and chunks in shared memory: numbers lie there, a pipe carries short JSON lines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr0_sim.conventions import ENV_ACTION_DIM
from xr0_sim.errors import ConfigError
from xr0_sim.types import ROBOT_SHAPES, ActionChunk, ChunkRequest, Observation, RobotState

ROBOT_NUMBERS = sum(int(np.prod(shape)) for shape in ROBOT_SHAPES.values())
LONGEST_LINE = 1 << 16
PLAIN = frozenset({"prefix"})
"""What a request may need: noise, samples and memories stay with the model."""


@dataclass(frozen=True)
class Layout:
    """Shape of a mailbox.

    Attributes:
        slots: Requests that may be under way.
        cameras: Views in memory order.
        image_size: Side of a picture [px].
        horizon: Rows of a chunk.
    """

    slots: int
    cameras: tuple[str, ...]
    image_size: int
    horizon: int

    @property
    def picture_bytes(self) -> int:
        """Bytes of all pictures of a slot, rounded up to whole numbers of 8."""
        return -(-len(self.cameras) * self.image_size**2 * 3 // 8) * 8

    @property
    def slot_bytes(self) -> int:
        """Bytes of a slot."""
        return self.picture_bytes + 8 * (ROBOT_NUMBERS + 2 * self.horizon * ENV_ACTION_DIM)


class Mailbox:
    """Both ends' view of the shared memory.

    Args:
        memory: The block.
        layout: Its shape.
    """

    def __init__(self, memory: SharedMemory, layout: Layout) -> None:
        self.layout = layout
        self._memory = memory

    def write_request(self, slot: int, request: ChunkRequest) -> dict[str, Any]:
        """Puts a request down; the line that tells of it.

        Raises:
            ConfigError: It needs more than a prefix.
        """
        if not request.needs <= PLAIN:
            raise ConfigError(
                f"real time: expected requests that need no more than a prefix, got "
                f"{', '.join(sorted(request.needs - PLAIN))}; choose another strategy"
            )
        seen = request.observation
        pictures, robot, prefix, _ = self._parts(slot)
        for view, name in zip(pictures, self.layout.cameras, strict=True):
            if seen.images:
                view[:] = seen.images[name]
        robot[:] = np.concatenate([np.ravel(getattr(seen.robot, name)) for name in ROBOT_SHAPES])
        prefix[: len(request.prefix)] = request.prefix
        return {
            "slot": slot,
            "tick": seen.tick,
            "time_ns": seen.time_ns,
            "prefix": len(request.prefix),
            "noise_seed": list(request.noise_seed),
            "instruction": seen.instruction,
            "pictures": bool(seen.images),
        }

    def read_request(self, line: Mapping[str, Any]) -> ChunkRequest:
        """The request that a line tells of, in arrays of its own."""
        pictures, robot, prefix, _ = self._parts(line["slot"])
        parts, start = {}, 0
        for name, shape in ROBOT_SHAPES.items():
            count = int(np.prod(shape))
            parts[name] = robot[start : start + count].reshape(shape).copy()
            start += count
        images: dict[str, NDArray[np.uint8]] = {}
        if line["pictures"]:
            views = zip(self.layout.cameras, pictures, strict=True)
            images = {name: view.copy() for name, view in views}
        seen = Observation(
            line["tick"], line["time_ns"], RobotState(**parts), images, line["instruction"]
        )
        seed, number = line["noise_seed"]
        return ChunkRequest(seen, prefix[: line["prefix"]].copy(), (seed, number))

    def write_answer(self, slot: int, chunk: ActionChunk) -> None:
        """Puts a chunk down."""
        self._parts(slot)[3][:] = chunk.actions

    def read_answer(self, slot: int, tick: int) -> ActionChunk:
        """The chunk that was put down."""
        return ActionChunk(self._parts(slot)[3].copy(), tick)

    def _parts(self, slot: int) -> Sequence[NDArray[Any]]:
        layout = self.layout
        start, size = slot * layout.slot_bytes, layout.image_size
        numbers = start + layout.picture_bytes
        rows = (layout.horizon, ENV_ACTION_DIM)
        after = numbers + 8 * ROBOT_NUMBERS
        chunk = 8 * layout.horizon * ENV_ACTION_DIM
        buffer = self._memory.buf
        return (
            np.ndarray((len(layout.cameras), size, size, 3), np.uint8, buffer, start),
            np.ndarray(ROBOT_NUMBERS, np.float64, buffer, numbers),
            np.ndarray(rows, np.float64, buffer, after),
            np.ndarray(rows, np.float64, buffer, after + chunk),
        )


def send_line(pipe: Connection, line: Mapping[str, Any]) -> None:
    """Sends one short JSON line; nothing is pickled."""
    pipe.send_bytes(json.dumps(line).encode())


def receive_line(pipe: Connection) -> dict[str, Any]:
    """Receives what `send_line` sent."""
    found: dict[str, Any] = json.loads(pipe.recv_bytes(LONGEST_LINE))
    return found
