"""``xr0-sim watch``: the live environment in a browser on this machine."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass

from envs.tasks import check_on_stage
from experiments.options.condition_options import ConditionOptions
from experiments.runner.runner import renderer_for
from xr0_sim.errors import ConfigError


@dataclass(frozen=True)
class WatchConfig(ConditionOptions):
    """Plays a policy live, to be paused, stepped, pushed and given another latency or strategy.

    Open the printed address in a browser on this machine. Ctrl-C ends it.

    Attributes:
        event: none, or NAME[:field=value,...][@TRIGGER] of every episode; others by button.
        seed: Seed of the first episode.
        port: Port on 127.0.0.1; 0 takes a free one.
        play: Begin at once instead of waiting for the button.
    """

    event: str = "none"
    seed: int = 0
    port: int = 0
    play: bool = False


def run(config: WatchConfig) -> int:
    """Serves until interrupted; returns the exit status."""
    from experiments.live.server import LiveServer, Viewers
    from experiments.live.session import LiveSession

    if not 0 <= config.port < 65536:
        raise ConfigError(f"--port: expected 0 .. 65535, got {config.port}")
    check_on_stage(config.task, "watch")
    renderer_for(config.condition(), False)
    viewers = Viewers()
    session = LiveSession(config, config.seed, viewers.publish)
    server = LiveServer(
        config.port,
        lambda: [{"scene": session.scene}, {"frame": session.frame}],
        session.order,
        viewers,
    )
    print(f"watch  {server.address}", flush=True)
    print("Ctrl-C ends it", file=sys.stderr)
    if config.play:
        session.order({"do": "play"})
    try:
        with contextlib.suppress(KeyboardInterrupt):
            session.run()
    finally:
        server.close()
    return 0
