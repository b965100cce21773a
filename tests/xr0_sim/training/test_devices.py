"""Training and inference follow their weights to another device."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from one_device import OneDevice
from squares import build_store

from xr0_sim.data.chunk_store import ChunkStore
from xr0_sim.errors import ConfigError
from xr0_sim.model.action_expert.sampler import FlowSampler
from xr0_sim.model.auxiliary.vqa import Question, QuestionWriter
from xr0_sim.model.compute.devices import check_compiler, choose_device, prepare_compiler
from xr0_sim.model.policy_loading import load_policy_model
from xr0_sim.model.spec.config import XR0Config
from xr0_sim.model.spec.normalizer import Normalizer
from xr0_sim.model.spec.presets import preset_config
from xr0_sim.model.vla import XR0ForActionGeneration
from xr0_sim.model.vlm.processor import XR0Processor
from xr0_sim.training.body_source import RolledChunks
from xr0_sim.training.chunk_tensors import ChunkTensors
from xr0_sim.training.expert_training import ExpertStage, ExpertStageConfig, train_head
from xr0_sim.training.features import FeatureStore
from xr0_sim.training.posttrain import HEADS
from xr0_sim.training.schedule import step_generator
from xr0_sim.training.trainer import TrainerConfig
from xr0_sim.training.vlm_training import VlmStage, VlmStageConfig, train_vlm

HORIZON = 8
ELSEWHERE = torch.device("meta")


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    root = tmp_path_factory.mktemp("devices")
    store = ChunkStore(build_store(root / "store", 16, 64, HORIZON, ("red", "green")))
    sizes = preset_config("nano", action_length=HORIZON, proposals=2)
    config = XR0Config(**sizes.to_dict() | {"grounding": store.meta.grounding})
    tensors = ChunkTensors.from_store(store, Normalizer.identity(HORIZON), config.state_layout)
    return root, store, config, tensors


def question(values, instruction, rng):
    return Question("color", "Which colour?", "red")


def sentence(rng):
    return "touch the red square", {"color": 0}


def test_the_brain_stage_leaves_nothing_behind(setting):
    _, store, config, tensors = setting
    stage = VlmStageConfig(TrainerConfig(steps=1, batch_size=8), question_share=0.25)
    module = VlmStage(config, stage, store, tensors, sentence, QuestionWriter(question))
    here = module.loss(np.arange(8), step_generator(0, 1))
    module.to(ELSEWHERE)
    with OneDevice():
        terms = module.loss(np.arange(8), step_generator(0, 1))
        terms["loss"].backward()
    assert set(terms) == set(here) and {"questions", "drill", "flow", "proposal"} <= set(terms)
    assert {p.grad.device for p in module.parameters() if p.grad is not None} == {ELSEWHERE}


BY_VALUE = {name for name, head in HEADS.items() if "published" in (head.reweight, head.frequency)}
"""Heads whose loss branches on values, which the ``meta`` device does not have."""


@pytest.mark.parametrize("name", sorted(set(HEADS) - BY_VALUE))
def test_every_head_leaves_nothing_behind(setting, name):
    root, store, config, tensors = setting
    model = XR0ForActionGeneration(config)
    features = FeatureStore(root / name, store, model, XR0Processor(config), lambda line: None)
    model.to(ELSEWHERE)
    stage = ExpertStageConfig(TrainerConfig(steps=1, batch_size=8), HEADS[name], draws=2)
    same = Normalizer.identity(HORIZON)
    rolled = RolledChunks(store, same, config.state_layout)
    run = ExpertStage(model.expert, stage, features, tensors, same, rolled)
    with OneDevice():
        run.loss(np.arange(8), step_generator(0, 1))["loss"].backward()
    assert model.expert.sink.weight.grad.device == ELSEWHERE


def test_inference_leaves_nothing_behind(setting):
    _, store, config, _ = setting
    model = XR0ForActionGeneration(config).eval().to(ELSEWHERE)
    inputs = XR0Processor(config)(store.images(np.arange(2)), ["touch red", "touch it"])
    chunk = torch.zeros(2, HORIZON, 32, device=ELSEWHERE)
    lengths = torch.zeros(2, dtype=torch.long, device=ELSEWHERE)
    sampler = FlowSampler(model.expert, 5)
    with OneDevice(), torch.no_grad():
        cache = model.encode(inputs.to(ELSEWHERE))
        sampled = sampler(cache, chunk[:, 0], chunk, lengths, chunk)
    assert sampled.shape == chunk.shape and sampled.device == ELSEWHERE


def test_the_mode_finds_what_was_left_behind():
    with OneDevice(), pytest.raises(AssertionError, match=r"cpu.*meta"):
        torch.zeros(3, device=ELSEWHERE) + torch.zeros(3)


def test_names_of_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("cpu") == choose_device("auto") == torch.device("cpu")
    for name in ("gpu", "cpu:1", "cuda:x"):
        with pytest.raises(ConfigError, match="expected cpu, cuda, cuda:N or auto"):
            choose_device(name)
    with pytest.raises(ConfigError, match=r"one of 0 graphics cards.*use cpu"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda", 0)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(ConfigError, match="one of 2 graphics cards"):
        choose_device("cuda:2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device("cuda") == torch.device("cuda", 1)


@pytest.mark.gpu
def test_a_card_trains_and_acts_like_the_processor(setting, tmp_path):
    _, store, _, _ = setting
    config = preset_config("nano", action_length=HORIZON, proposals=2)
    trainer = TrainerConfig(steps=8, warmup_steps=2, log_every=4, batch_size=8, precision="float32")
    expert = ExpertStageConfig(replace(trainer, steps=20), draws=2, validation_fraction=0.1)
    vlm = VlmStageConfig(trainer, validation_fraction=0.1)
    chunks = {}
    for device in ("cpu", "cuda"):
        folder = tmp_path / device
        assert train_vlm(store, config, vlm, folder, print, device=device)
        places = (folder / "checkpoint", "base", expert, folder / "base", folder / "features")
        assert train_head(store, *places, show=print, device=device)
    for device in ("cpu", "cuda"):
        policy = load_policy_model(tmp_path / "cpu" / "checkpoint", "base", "float32", device)
        chunks[device] = policy.predict(
            store.images(np.arange(2)),
            ["touch red", "touch it"],
            store.robot(np.arange(2)),
            [None] * 2,
            [(0, 0), (0, 1)],
        )
    np.testing.assert_allclose(chunks["cuda"], chunks["cpu"], atol=1e-3)


def test_compiling_asks_for_a_compiler_first(monkeypatch, tmp_path):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"expected a C\+\+ compiler"):
        check_compiler()
    found = tmp_path / "mine"
    found.write_text("")
    found.chmod(0o755)
    monkeypatch.setenv("CXX", str(found))
    check_compiler()


@pytest.fixture
def compiler(monkeypatch, tmp_path):
    """A compiler by name, a home, and no folder of kernels chosen; the home."""
    found, home = tmp_path / "mine", tmp_path / "home"
    found.write_text("")
    found.chmod(0o755)
    home.mkdir()
    monkeypatch.setenv("CXX", str(found))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")  # as good as none, and put back at the end
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    return home


@pytest.mark.parametrize("cache", [None, "relative", "given"])
def test_compiled_kernels_are_kept_in_the_users_cache(compiler, monkeypatch, cache):
    wanted = compiler / ".cache"
    if cache is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", cache)
    if cache == "given":
        wanted = compiler.parent / "cache"
        monkeypatch.setenv("XDG_CACHE_HOME", str(wanted))
    prepare_compiler()
    folder = os.environ["TORCHINDUCTOR_CACHE_DIR"]
    assert folder == str(wanted / "xr0_sim" / "compiled") and os.path.isdir(folder)


def test_a_folder_of_ones_own_for_compiled_kernels_stays(compiler, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "mine")
    prepare_compiler()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "mine"
    assert not list(compiler.iterdir())


def test_without_room_in_the_users_cache_the_choice_is_left_to_torch(compiler):
    (compiler / ".cache").write_text("a file in the place of the folder")
    prepare_compiler()
    assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ
