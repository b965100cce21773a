"""``xr0-sim view``: the page of an episode holds what the tick log and the physics say."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from envs.tasks import make_env
from experiments.cli import main
from experiments.report.episode_lanes import PX, lanes_svg
from experiments.runner.episode_rows import log_path
from experiments.runner.motion_again import motion_again
from xr0_sim.errors import DatasetError
from xr0_sim.record.ticklog import read_ticklog

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
SEED = 702


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("view") / "run"
    words = f"rollout --env block_dismantling:n_bricks=2 --policy oracle --episodes 1 --seed {SEED}"
    words += f" --event teleport@tick:9 --max-seconds 1.5 --no-video --out {out}"
    assert main(words.split()) == 0
    return out


@pytest.fixture(scope="module")
def page(folder):
    assert main(["view", str(folder)]) == 0
    return folder / f"view_seed{SEED}.html"


def scenes(page):
    found = re.search(r'<script id="data"[^>]*>(.*?)</script>', page.read_text(), re.DOTALL)
    return json.loads(found[1].replace("<\\/", "</"))["scenes"]


def poses(scene):
    steps = np.frombuffer(gzip.decompress(base64.b64decode(scene["poses"])), "<i2")
    whole = np.cumsum(steps.reshape(scene["ticks"], -1), axis=0).astype(np.int16)
    return whole.reshape(scene["ticks"], scene["bodies"], 7)


def test_the_page_holds_the_poses_of_the_physics(folder, page):
    episode, twin = scenes(page)
    found = poses(episode)
    env = make_env("block_dismantling", n_bricks=2)
    env.reset_scene(SEED)
    placed = {
        tuple(np.rint(np.float32(pos).clip(-3.2, 3.2) / 1e-4).astype(int)) for pos in env.data.xpos
    }
    assert {tuple(pos) for pos in found[0, :, :3].astype(int).tolist()} <= placed
    env.close()
    assert len(found) == len(read_ticklog(log_path(folder, SEED))) + 1
    # The event parts the episode from its twin in tick 9, and not before.
    apart = np.abs(found[: len(poses(twin))].astype(int) - poses(twin)).max((1, 2))
    assert apart[:10].max() == 0 < apart[10]


def test_the_lanes_mark_the_event_and_its_reaction(folder, page):
    row = json.loads((folder / "episodes.jsonl").read_text())
    (found,) = row["reactions"]
    text = page.read_text()
    at = found["tick"] * PX
    assert f'<line class="event" x1="{at}"' in text
    where = (found["tick"] + 30 * found["reaction_s"]) * PX
    assert f'<line class="reaction" x1="{where:.1f}"' in text
    assert f"{1000 * found['reaction_s']:.0f} ms" in text
    table = read_ticklog(log_path(folder, SEED))
    captures = (table["started"] >= 0).sum()
    assert lanes_svg(table, None, []).count('class="capture"') == captures


def test_a_log_of_another_motion_is_refused(folder):
    table = read_ticklog(log_path(folder, SEED))
    joints = table["joint_pos"].copy()
    joints[20] += 1e-6
    other = replace(table, columns={**table.columns, "joint_pos": joints})
    env = make_env("block_dismantling", n_bricks=2)
    with pytest.raises(DatasetError, match=f"seed {SEED}, tick"):
        motion_again(env, SEED, (), other)
    env.close()


def test_what_is_not_there_is_one_line(folder, tmp_path, capsys):
    assert main(["view", str(tmp_path)]) == 2
    assert main(["view", str(folder), "--seed", "5"]) == 2
    told = capsys.readouterr().err
    assert "expected the folder of a run" in told and f"it has {SEED}" in told


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page in")
def test_a_browser_draws_both_replays_offline(page):
    words = "--headless=new --no-sandbox --use-gl=angle --use-angle=swiftshader --dump-dom"
    words += " --enable-unsafe-swiftshader --virtual-time-budget=15000 --enable-logging=stderr"
    words += " --host-resolver-rules=MAP * ~NOTFOUND"
    flags = words.split(" --")
    command = [CHROMIUM, flags[0], *(f"--{flag}" for flag in flags[1:]), page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert 'data-ready="2"' in done.stdout
    assert "CONSOLE" not in done.stderr
