import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from experiments.cli import main
from experiments.commands.serve import is_loopback

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = str(ROOT / "docs/examples/my_plugs.py")


@contextmanager
def serving(*words, **environment):
    """``xr0-sim serve`` on any free port: what it prints at the start, and the process."""
    command = [sys.executable, "-m", "experiments.cli", "serve", "--port", "0", "--json", *words]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | environment,
    )
    try:
        yield json.loads(process.stdout.readline()), process
    finally:
        process.kill()
        process.communicate()


def rollout(capsys, policy, *words):
    status = main(
        [
            *["rollout", "--plugin", PLUGIN, "--policy", policy, "--no-video", "--json"],
            *["--max-seconds", "2", "--episodes", "1", "--event", "shove@1s", *map(str, words)],
        ]
    )
    out, err = capsys.readouterr()
    assert status == 0, err
    return json.loads(out)


def test_a_remote_rollout_is_the_local_one_and_the_server_ends_in_good_order(capsys, tmp_path):
    with serving("--plugin", PLUGIN, "--policy", "wave:amplitude_rad=0.03") as (facts, process):
        assert facts["policy"] == "wave:amplitude_rad=0.03" and facts["views"] == []
        assert facts["capabilities"] == ["prefix"] and facts["latency_ms"]["n"] == 3
        remote = rollout(
            capsys, f"remote:url={facts['url']},digest={facts['digest']}", "--out", tmp_path / "r"
        )
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "", "")
    local = rollout(capsys, "wave:amplitude_rad=0.03", "--out", tmp_path / "l")
    assert remote["digest"] == local["digest"]
    assert remote["config"]["policy"].startswith("remote:url=ws://127.0.0.1:")


@pytest.mark.slow
def test_the_policy_that_ships_does_the_same_behind_a_websocket(capsys, tmp_path):
    words = ["--world", "0.1", "--head", "prefix_lambda"]
    with serving(*words) as (facts, _):
        remote = rollout(
            capsys,
            f"remote:url={facts['url']}",
            *["--world", "0.1", "--execution-horizon", "20", "--out", tmp_path / "r"],
        )
    local = rollout(capsys, "xr0", *words, "--out", tmp_path / "l")
    assert remote["digest"] == local["digest"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--policy", "oracle"], "plays on in the simulator of the episode; serve xr0"),
        (["--policy", "orcle"], "did you mean 'oracle'"),
        (["--host", "0.0.0.0"], "expected a key for an address that others can reach"),
        (["--port", "70000"], "--port: expected 0 .. 65535"),
        (["--max-mib", "0"], "--max-mib: expected 1 .. 1024"),
        (["--strategy", "hope"], "unknown strategy"),
    ],
)
def test_bad_options_are_refused_in_one_line(words, expected, capsys, monkeypatch):
    monkeypatch.delenv("XR0_SIM_API_KEY", raising=False)
    assert main(["serve", *words]) == 2
    err = capsys.readouterr().err
    assert expected in err and len(err.splitlines()) == 1


def test_nobody_at_the_address_is_said_in_one_line(capsys, tmp_path):
    words = ["rollout", "--policy", "remote:url=ws://127.0.0.1:9,connect_s=0.3", "--no-video"]
    assert main([*words, "--episodes", "1", "--out", str(tmp_path / "run")]) == 2
    err = capsys.readouterr().err.splitlines()[-1]
    assert "expected a policy server, got" in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("gpu1", False)],
)
def test_addresses_that_others_can_reach_are_told_apart(host, own):
    assert is_loopback(host) is own
