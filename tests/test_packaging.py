"""What is shipped beside the packages: container, notebooks' first cell, the plug-in's name."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def first_code(notebook):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return next("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def test_notebooks_begin_alike_and_their_pairs_with_them():
    cells = {first_code(notebook) for notebook in NOTEBOOKS}
    assert len(NOTEBOOKS) >= 4 and len(cells) == 1
    for notebook in NOTEBOOKS:
        assert first_code(notebook) in notebook.with_suffix(".py").read_text(encoding="utf-8")


@pytest.fixture
def first_cell(tmp_path, monkeypatch):
    """Runs the first cell in a folder of its own; returns the commands that it started."""
    script = tmp_path / "cell.py"
    script.write_text(first_code(NOTEBOOKS[0]), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    started = []
    monkeypatch.setattr(subprocess, "run", lambda words, **options: started.append(words))

    def run(there):
        monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if there else None)
        runpy.run_path(str(script))
        return started

    return run


def test_where_the_package_is_the_first_cell_does_nothing(first_cell):
    assert first_cell(there=True) == []


def test_the_first_cell_installs_a_wheel_that_lies_beside_it(first_cell, tmp_path, monkeypatch):
    (tmp_path / "xr0_sim-0.1.0-py3-none-any.whl").touch()
    monkeypatch.setattr("ctypes.util.find_library", lambda name: "libEGL.so.1")
    (words,) = first_cell(there=False)
    assert words == [sys.executable, "-m", "pip", "install", "-q", "xr0_sim-0.1.0-py3-none-any.whl"]


def test_without_a_source_the_first_cell_says_what_to_do(first_cell):
    with pytest.raises(SystemExit, match="set XR0_SIM_SOURCE"):
        first_cell(there=False)


def test_the_container_runs_as_a_user_and_copies_what_is_there():
    stage = DOCKERFILE.rpartition("\nFROM ")[2]
    user = stage.index("\nUSER xr0")
    assert user < stage.index("\nENTRYPOINT") < stage.index('\nCMD ["doctor"]')
    assert "useradd" in stage[:user] and "root" not in stage[user:]
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert allowed[0] == "*"
    for line in allowed:
        if line.startswith("!"):
            assert (ROOT / line[1:]).exists(), line
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {f"!{name.rstrip('*')}" for name in packages} <= set(allowed)
    for name in ("README.md", "LICENSE", "constraints.txt"):
        assert f"!{name}" in allowed


def test_every_apt_list_of_the_container_is_removed_and_nothing_is_cached():
    for command in re.split(r"\n(?=[A-Z]+ )", DOCKERFILE):
        if "apt-get" in command:
            assert "--no-install-recommends" in command and "rm -rf /var/lib/apt/lists" in command
        if "pip install" in command and command.startswith("RUN"):
            assert "--no-cache-dir" in command


def test_the_plug_in_of_lerobot_is_named_as_its_discovery_wants():
    folder = ROOT / "distributions" / "lerobot_env_xr0_sim"
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["name"] == "lerobot_env_xr0_sim"
    assert (folder / "lerobot_env_xr0_sim" / "__init__.py").is_file()
