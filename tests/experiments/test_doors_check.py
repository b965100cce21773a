"""``xr0-sim doctor``: extras in versions that will do, doors that are looked at without opening."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

from experiments.commands import doors_check, extras_check
from experiments.commands.doors_check import (
    INSTALLED,
    SEPARATE,
    InstalledDoor,
    check_doors,
    installed_version,
)
from experiments.commands.extras_check import check_extras, extras_of

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = {
    *("dev", "docs", "lerobot", "minari", "quantization", "ray"),
    *("report", "sb3", "serve", "tensorboard", "test"),
}


def told(monkeypatch, *lines):
    monkeypatch.setattr(extras_check.metadata, "requires", lambda name: list(lines))
    return {finding.name: finding for finding in check_extras()}


def project_lines():
    """``Requires-Dist`` of the extras as a build makes them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extra, wanted in project["optional-dependencies"].items():
        for requirement in map(Requirement, wanted):
            inner = f"({requirement.marker}) and " if requirement.marker else ""
            requirement.marker = Marker(f"{inner}extra == '{extra}'")
            yield str(requirement)


def test_every_extra_of_the_package_is_looked_at(monkeypatch):
    found = told(monkeypatch, *project_lines())
    assert {name.removeprefix("extra ") for name in found} == EXTRAS
    remedy = found["extra lerobot"].remedy
    assert remedy == "" or "constraints" not in remedy  # it fights with the tested set


def test_absent_and_old_packages_are_named_with_a_remedy(monkeypatch):
    found = told(
        monkeypatch,
        "numpy>=2",
        'no-such-package>=1; extra == "serve"',
        'numpy>=999; extra == "ray"',
        'numpy>=1; extra == "report"',
        "lerobot[dataset]>=0.6; python_version < '3' and extra == 'lerobot'",
    )
    assert set(found) == {"extra serve", "extra ray", "extra report", "extra lerobot"}
    assert found["extra serve"].detail == "missing no-such-package"
    assert "[serve]" in found["extra serve"].remedy
    assert f"numpy {metadata.version('numpy')}, wanted >=999" in found["extra ray"].detail
    assert found["extra report"].status == "ok"
    assert (
        found["extra lerobot"].status == "note"
        and "not for Python" in found["extra lerobot"].detail
    )


def test_extras_are_read_from_markers():
    lines = ["numpy", "ray>=2; extra == 'ray'", "x; python_version >= '3' and extra == \"a-b\""]
    found = extras_of(lines)
    assert found == {"ray": [Requirement(lines[1])], "a-b": [Requirement(lines[2])]}


def environment(folder, card):
    (folder / "lib/python3.12/site-packages" / card).mkdir(parents=True)
    return folder


def test_an_environment_is_read_without_starting_it(tmp_path):
    venv = environment(tmp_path / "venv", "lerobot-0.6.1.dist-info")
    assert installed_version(venv, "lerobot") == "0.6.1"
    assert installed_version(venv, "openpi_client") == ""
    assert installed_version(tmp_path / "none", "lerobot") == ""


def test_separate_doors_tell_how_they_are_opened(tmp_path, monkeypatch):
    door = next(door for door in SEPARATE if door.name == "lerobot")
    monkeypatch.setenv(door.variable, str(tmp_path / "none"))
    shut = door.look()
    assert shut.status == "note" and door.variable in shut.remedy and "pip install" in shut.remedy
    monkeypatch.setenv(door.variable, str(environment(tmp_path / "e", "lerobot-0.6.1.dist-info")))
    opened = door.look()
    assert opened.status == "ok" and "lerobot 0.6.1" in opened.detail


def test_an_absent_package_shuts_its_door():
    shut = InstalledDoor("x", ("no_such_module",), "serve", "xr0-sim serve").look()
    assert shut.status == "note" and "no_such_module" in shut.detail and "[serve]" in shut.remedy


@pytest.mark.parametrize("path, status", [("/usr/bin/chromium", "ok"), (None, "note")])
def test_a_browser_is_looked_for(monkeypatch, path, status):
    monkeypatch.setattr(doors_check.shutil, "which", lambda name: path)
    browser = check_doors()[-1]
    assert (browser.name, browser.status) == ("door browser", status)
    assert len(check_doors()) == len(INSTALLED) + len(SEPARATE) + 2
