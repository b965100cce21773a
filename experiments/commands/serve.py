"""``xr0-sim serve``: a policy behind a websocket, with openpi's protocol."""

from __future__ import annotations

import ipaddress
import json
import logging
import threading
from dataclasses import dataclass

from envs.world import world_name
from experiments.options.network_options import WeightOptions
from experiments.options.task_options import TaskOptions
from policies.remote.authorization import KEY_VARIABLE, key_from_environment
from policies.remote.packages import check_packages
from policies.remote.server import DEFAULT_MAX_CLIENTS, DEFAULT_PORT, LOOPBACK, PolicyServer
from policies.remote.serving import check_servable, load_served
from policies.remote.session import ServedPolicy
from xr0_sim.errors import ConfigError
from xr0_sim.registry import strategies
from xr0_sim.runtime.strategies.base import Strategy
from xr0_sim.wire import DEFAULT_MAX_BYTES

MIB = 2**20
MOST_CLIENTS = 1000
MOST_MIB = 1024


@dataclass(frozen=True)
class ServeConfig(TaskOptions, WeightOptions):
    """Serves a policy to `--policy remote:url=...`, to openpi-client and to whoever speaks it.

    Clients choose strategy and latency. Ctrl-C or SIGTERM ends it after the inference under way.
    GET /healthz is answered with 200. The environment variable XR0_SIM_API_KEY, if it is set, is
    the key that clients have to send; other addresses than this machine's own need one.

    Attributes:
        policy: xr0 (trained), or one of yours; not oracle, which needs the simulator itself.
        head: sync, prefix, prefix_lambda, rolled or prefix_refreshed; default: the one trained for
            --strategy.
        strategy: What clients will run, NAME[:field=value,...]; it chooses the head and no more.
        host: Address to listen on.
        port: Port to listen on; 0 for any free one.
        max_mib: Largest frame of a client [MiB].
        max_clients: Clients at a time; others are told to come later.
        json: Print what is served as one JSON object.
    """

    policy: str = "xr0"
    head: str | None = None
    strategy: str = "prefix_async"
    host: str = LOOPBACK
    port: int = DEFAULT_PORT
    max_mib: int = DEFAULT_MAX_BYTES // MIB
    max_clients: int = DEFAULT_MAX_CLIENTS
    json: bool = False


def run(config: ServeConfig) -> int:
    """Serves until a signal comes; returns the exit status."""
    check_packages()
    _check_numbers(config)
    key = key_from_environment()
    if key is None and not is_loopback(config.host):
        raise ConfigError(
            f"--host {config.host}: expected a key for an address that others can reach; set the "
            f"environment variable {KEY_VARIABLE}, or leave --host out"
        )
    check_servable(config.policy)
    strategy = strategies.value(config.strategy, Strategy)
    env_kwargs = config.env_kwargs()
    weights = config.weights_of(
        config.task, config.policy, strategy, config.head, world_name(env_kwargs)
    )

    def load() -> ServedPolicy:
        return load_served(config.policy, weights, config.task, env_kwargs, server.latencies)

    server = PolicyServer(
        load,
        config.host,
        config.port,
        api_key=key,
        max_bytes=config.max_mib * MIB,
        max_clients=config.max_clients,
    )
    logging.basicConfig(format="%(levelname)s %(message)s")
    try:
        with server:
            _tell(config, server, key is not None)
            threading.Event().wait()
    except KeyboardInterrupt:
        if server.stopped:
            return 0
        raise
    return 0


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_numbers(config: ServeConfig) -> None:
    for name, low, high in (
        ("port", 0, 65535),
        ("max_mib", 1, MOST_MIB),
        ("max_clients", 1, MOST_CLIENTS),
    ):
        value = getattr(config, name)
        if not low <= value <= high:
            option = f"--{name.replace('_', '-')}"
            raise ConfigError(f"{option}: expected {low} .. {high}, got {value}")


def _tell(config: ServeConfig, server: PolicyServer, keyed: bool) -> None:
    facts = {"url": server.url} | server.metadata() | {"key": keyed}
    if config.json:
        print(json.dumps(facts), flush=True)
        return
    latency = facts["latency_ms"]
    print(
        f"serving  {facts['policy']}, {facts['horizon']} rows, views "
        f"{', '.join(facts['views']) or 'none'}\n"
        f"url      {server.url}{', with a key' if keyed else ''}\n"
        f"digest   {facts['digest']}\n"
        f"can do   {', '.join(facts['capabilities']) or 'nothing beside chunks'}\n"
        f"latency  median {latency['median']:.3g} ms, p95 {latency['p95']:.3g} ms on this machine\n"
        f"client   xr0-sim rollout --policy remote:url={server.url}",
        flush=True,
    )
