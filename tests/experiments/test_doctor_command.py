import json

from experiments.cli import main
from experiments.commands import doctor
from experiments.commands.doctor import DoctorConfig, Finding, run
from experiments.commands.renderer_probe import RendererProbe, probe


def test_it_says_what_works(capsys):
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    names = {finding["name"]: finding for finding in found["findings"]}
    assert found["healthy"] is True and found["versions"]["mujoco"]
    for name in ("python", "physics", "renderer", "torch", "gpu", "video", "checkpoints"):
        assert name in names
    assert names["physics"]["status"] == "ok"


def test_a_backend_that_does_not_exist_does_not_draw():
    found = probe("nonsense")
    assert not found.works and "nonsense" in found.detail


def test_no_renderer_is_a_warning_with_a_remedy(monkeypatch, capsys):
    dead = [RendererProbe("egl", False, "libEGL.so.1 is not installed")]
    monkeypatch.setattr(doctor, "probe_renderers", lambda chosen: dead)
    monkeypatch.setattr(doctor, "CHECKS", (doctor.check_renderers,))
    assert run(DoctorConfig()) == 0
    out = capsys.readouterr().out
    assert "apt-get install" in out and "state-only" in out


def test_a_broken_core_fails(monkeypatch, capsys):
    def check_physics():
        raise ImportError("no module named mujoco")

    monkeypatch.setattr(doctor, "CHECKS", (check_physics, lambda: [Finding("x", "ok", "fine")]))
    assert run(DoctorConfig()) == 1
    out = capsys.readouterr().out
    assert "[FAIL] physics" in out and "pip install" in out and "does not work" in out
