"""What a server says of itself in its first frame, openpi's metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from xr0_sim.conventions import CAMERAS, ENV_ACTION_DIM
from xr0_sim.errors import ConfigError
from xr0_sim.types import CAPABILITIES, ROBOT_SHAPES
from xr0_sim.wire import WireError

ON_THE_WIRE = frozenset({"prefix", "guide", "samples", "roll_forward", "tick_noise"})
"""Capabilities whose requests have a form on the wire.

A refresh needs the VLM cache of an earlier inference, which stays in its process; a gradient has no
request of its own.
"""


@dataclass(frozen=True)
class Description:
    """A served policy. Servers that are not ours say nothing of it: every field has a default.

    Attributes:
        policy: Text that names it on its server; "" if the server does not say.
        digest: Which policy, weights and plug-ins these are; "" if the server does not say.
        task: Task it was loaded for.
        horizon: Rows of a chunk; None if the server does not say.
        control_hz: Rate of the rows [Hz]; None if the server does not say.
        views: Cameras it looks at, of `xr0_sim.conventions.CAMERAS`; all of them if the server does
            not say.
        image_size: Side of the square pictures it wants [px]; None for those of the world.
        capabilities: What it can do, names of `ON_THE_WIRE`; none if the server does not say.
        remembers: Whether an answer depends on earlier requests of the episode; True if the server
            does not say.
    """

    policy: str = ""
    digest: str = ""
    task: str = ""
    horizon: int | None = None
    control_hz: int | None = None
    views: tuple[str, ...] = CAMERAS
    image_size: int | None = None
    capabilities: frozenset[str] = frozenset()
    remembers: bool = True

    @property
    def words(self) -> str:
        """For messages: name, digest and horizon."""
        name = self.policy or "a policy without a name"
        digest = f" with digest {self.digest}" if self.digest else ""
        return f"{name}{digest}, horizon {self.horizon}"

    def completed(self, horizon: int | None) -> Description:
        """With a horizon where the server does not say one.

        Raises:
            ConfigError: The server says another one.
        """
        if horizon is None or self.horizon == horizon:
            return self
        if self.horizon is not None:
            raise ConfigError(
                f"remote policy horizon: expected {horizon} rows, got a server with "
                f"{self.horizon}; leave horizon out"
            )
        return replace(self, horizon=horizon)

    def message(self) -> dict[str, Any]:
        """The map that `read` understands, with what a client of another make has to send."""
        return {
            "server": "xr0_sim",
            "policy": self.policy,
            "digest": self.digest,
            "task": self.task,
            "horizon": self.horizon,
            "action_dim": ENV_ACTION_DIM,
            "control_hz": self.control_hz,
            "views": list(self.views),
            "image_size": self.image_size,
            "robot": {name: list(shape) for name, shape in ROBOT_SHAPES.items()},
            "capabilities": sorted(self.capabilities),
            "remembers": self.remembers,
        }

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Description:
        """From the first frame of a server.

        Raises:
            WireError: An entry of another type than ours, or a name that does not exist.
        """
        default = cls()
        return cls(
            policy=_entry(message, "policy", str, ""),
            digest=_entry(message, "digest", str, ""),
            task=_entry(message, "task", str, ""),
            horizon=_count(message, "horizon"),
            control_hz=_count(message, "control_hz"),
            views=_names(message, "views", CAMERAS, default.views),
            image_size=_count(message, "image_size"),
            capabilities=frozenset(_names(message, "capabilities", tuple(CAPABILITIES), ()))
            & ON_THE_WIRE,
            remembers=_entry(message, "remembers", bool, True),
        )


def _entry(message: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
    found = message.get(name)
    if found is None:
        return default
    if not isinstance(found, kind):
        raise WireError(f"metadata {name!r}: expected {kind.__name__}, got {type(found).__name__}")
    return found


def _count(message: Mapping[str, Any], name: str) -> int | None:
    found = message.get(name)
    if found is None:
        return None
    if type(found) is not int or not 1 <= found <= 10_000:
        raise WireError(f"metadata {name!r}: expected a whole number 1 .. 10000, got {found!r:.40}")
    return found


def _names(
    message: Mapping[str, Any], name: str, known: tuple[str, ...], default: tuple[str, ...]
) -> tuple[str, ...]:
    found = message.get(name)
    if found is None:
        return default
    if not isinstance(found, list) or not set(map(str, found)) <= set(known):
        raise WireError(f"metadata {name!r}: expected names out of {', '.join(known)}")
    return tuple(map(str, found))
