"""``--policy remote:url=...``: the plug of a policy behind a websocket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from policies.remote.authorization import KEY_VARIABLE, key_from_environment
from policies.remote.chunk_model import RemoteChunkModel
from policies.remote.connection import Connection
from policies.remote.description import Description
from policies.remote.latency_file import LatencyFile
from policies.remote.packages import check_packages
from policies.table import Policy, PolicySpec
from xr0_sim.errors import ConfigError
from xr0_sim.fields import CheckedFields, check_range

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv
    from policies.xr0.checkpoints import Weights


@dataclass(frozen=True)
class Remote(CheckedFields, PolicySpec):
    """A policy that another process serves with openpi's protocol.

    The key of the server, if it has one, comes from the environment variable ``XR0_SIM_API_KEY``.

    Attributes:
        url: ``ws://host:port`` or ``wss://host:port``.
        horizon: Rows of a chunk; 0 for what the server says.
        digest: The served policy has to have this digest; "" for any.
        connect_s: Time for connecting, all tries together [s].
        answer_s: Time for an answer [s].
        measured: CSV file to which round trips are appended, for ``--latency trace:path=FILE``;
            "" for none.
    """

    url: str = "ws://127.0.0.1:8000"
    horizon: int = 0
    digest: str = ""
    connect_s: float = 10.0
    answer_s: float = 60.0
    measured: str = ""

    def __post_init__(self) -> None:
        """Rejects other addresses than websockets and times that are none."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise ConfigError(
                f"Remote.url: expected ws://host:port or wss://host:port, got {self.url!r}"
            )
        if parts.username is not None or parts.password is not None:
            raise ConfigError(
                "Remote.url: expected no name and password in it, since run cards show it; set "
                f"{KEY_VARIABLE} instead"
            )
        check_range(self, "horizon", 0, 10_000, "rows")
        check_range(self, "connect_s", 0.1, 3600.0, "s")
        check_range(self, "answer_s", 0.01, 3600.0, "s")

    def load(self, weights: Weights | None) -> Policy:
        """Connects; see `PolicySpec.load`.

        Raises:
            ConfigError: No server, or one whose policy does not fit.
        """
        check_packages()
        key = key_from_environment()
        connection = Connection(self.url, key, self.connect_s, self.answer_s)
        description = Description.read(connection.open()).completed(self.horizon or None)
        if self.digest and description.digest != self.digest:
            raise ConfigError(
                f"remote policy {self.url}: expected the one with digest {self.digest}, got "
                f"{description.words}; serve that one, or leave the digest out"
            )
        latencies = LatencyFile(self.measured) if self.measured else None
        model = RemoteChunkModel(connection, description, latencies)

        def bind(env: DualArmEnv | None) -> RemoteChunkModel:
            # A model that answers beside a loop has no environment; the loop's side is bound to it.
            if env is not None and description.control_hz not in (None, env.control_hz):
                raise ConfigError(
                    f"remote policy {self.url}: expected rows at {env.control_hz} Hz, got a policy "
                    f"at {description.control_hz} Hz"
                )
            return model

        return Policy(bind, description.image_size, looks=bool(description.views))
