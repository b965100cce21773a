"""The released layout: native loading, saving, both published paths, damage."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from released_files import released_config, write_released, write_shards, write_statistics

from xr0_sim.errors import CheckpointError, ConfigError
from xr0_sim.model.action_expert.flow import FlowLossConfig
from xr0_sim.model.action_expert.masks import expert_mask, hide_random_prefix
from xr0_sim.model.action_expert.sampler import FlowSampler
from xr0_sim.model.checkpoints.reference_paths import POST_TRAINING, RELEASED_INFERENCE, on_path
from xr0_sim.model.checkpoints.released import load_released, released_processor, save_released
from xr0_sim.model.checkpoints.released_config import full_size_config, load_released_config
from xr0_sim.model.spec.presets import preset_config
from xr0_sim.model.vlm.forward import forward
from xr0_sim.model.vlm.prompt import PUBLISHED_HEADER
from xr0_sim.model.vlm.stock import stock_forward, stock_vlm
from xr0_sim.model.vlm.tables import brain_tables
from xr0_sim.model.vlm.tokenizer import build_tokenizer, prompt_corpus, save_tokenizer

ARM = [0, 1, 2, 3, 4, 5, 6]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    directory = tmp_path_factory.mktemp("released")
    write_released(directory)
    write_statistics(directory, ARM)
    save_tokenizer(build_tokenizer(prompt_corpus()), directory)
    return directory


@pytest.fixture(scope="module")
def model(checkpoint):
    return load_released(checkpoint)


@pytest.fixture
def fresh(tmp_path):
    write_released(tmp_path)
    return tmp_path


def images(seed=0, frames=2):
    return np.random.default_rng(seed).integers(0, 256, (frames, 3, 64, 96, 3), dtype=np.uint8)


def test_every_tensor_arrives_and_nothing_stays_without_memory(checkpoint, model):
    from safetensors.numpy import load_file

    tensors = {}

    for file in sorted(checkpoint.glob("model-*.safetensors")):
        tensors |= load_file(file)
    state = model.state_dict()
    assert set(state) == set(tensors) | {"vlm.lm_head.weight"}
    for name, value in tensors.items():
        np.testing.assert_array_equal(state[name].numpy(), value, err_msg=name)
    assert model.vlm.lm_head.weight is model.vlm.model.language_model.embed_tokens.weight
    assert not any(part.is_meta for part in [*model.parameters(), *model.buffers()])
    assert model.expert.dit is model.dit and not model.training


def test_rotary_frequencies_are_those_of_the_old_keys(model):
    tables = brain_tables(model.vlm, 5, [(2, 4)], fused=False)
    torch.testing.assert_close(tables.frequencies, 5e6 ** (-torch.arange(0, 16, 2) / 16))
    # The third patch of the first block of two by two stands in the second row.
    turned = torch.cat([1e4 ** (-torch.arange(0, 8, 2) / 8), torch.zeros(4)]).repeat(2)
    torch.testing.assert_close(tables.vision[0].sin[0, 2], turned.sin())
    assert model.config.vlm_config.text_config.rope_parameters["mrope_section"] == [4, 2, 2]


def test_brain_equals_the_stock_forward_with_doubled_frames_and_deepstack(checkpoint, model):
    processor = released_processor(checkpoint, model.config)
    inputs = processor(images(), ["Fold the towel.", "Put the red brick into the left bin."])
    with torch.no_grad():
        _, cache = forward(model.vlm, inputs, 2)
        stock = stock_forward(stock_vlm(model.vlm), inputs, use_cache=True)
    real = inputs.key_mask()
    for mine, theirs in zip(cache.layers, stock.past_key_values.layers[-2:], strict=True):
        seen = real[:, None, :, None].expand_as(mine[0])
        torch.testing.assert_close(mine[0][seen], theirs.keys[seen], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(mine[1][seen], theirs.values[seen], atol=1e-5, rtol=1e-5)


def test_an_action_chunk_end_to_end_per_seed(checkpoint, model):
    processor = released_processor(checkpoint, model.config)
    cache = model.encode(processor(images(), ["Fold the towel."] * 2))
    none, empty = torch.zeros(2, dtype=torch.long), torch.zeros(2, 0, 32)
    state = torch.randn(2, 32, generator=torch.Generator().manual_seed(1))
    mask = processor.action_mask("tiny_arm", 2)

    def chunk(seed):
        generator = torch.Generator().manual_seed(seed)
        return model.sample_actions(cache, state, empty, none, generator, mask)

    assert torch.equal(chunk(42), chunk(42)) and not torch.equal(chunk(42), chunk(43))
    assert (chunk(42)[..., 7:] == 0).all() and (chunk(42)[..., :7] != 0).all()
    physical = processor.decode_action(chunk(42), "tiny_arm")
    assert physical.shape == (2, 4, 32) and np.isfinite(physical).all()


def test_paths_are_fields(checkpoint):
    config = load_released_config(checkpoint)
    assert {name: getattr(config, name) for name in RELEASED_INFERENCE} == RELEASED_INFERENCE
    assert torch.equal(expert_mask(4, config.action_window), torch.ones(6, 6).tril().bool())
    assert not FlowLossConfig.of(config).hide_prefix
    assert config.prompt_header == PUBLISHED_HEADER and config.state_layout == "raw"

    with pytest.raises(ConfigError, match="prefix_max"):
        on_path(config, "post_training")
    trained = on_path(full_size_config(), "post_training")
    assert {name: getattr(trained, name) for name in POST_TRAINING} == POST_TRAINING
    assert (trained.action_window, trained.noisy_position_offset, trained.prefix_max) == (4, 10, 6)
    flow = FlowLossConfig.of(trained, draws=2, reweight=True)
    assert flow == FlowLossConfig(2, hide_prefix=True, reweight=True, hide_probability=0.5)
    with pytest.raises(ConfigError, match="did you mean 'released'"):
        on_path(config, "relesed")


def test_the_switches_change_the_velocity_of_the_same_weights(checkpoint, model):
    processor = released_processor(checkpoint, model.config)
    cache = model.encode(processor(images(), ["Fold the towel."] * 2))
    other = load_released(checkpoint, action_window=1, noisy_position_offset=10)
    call = (
        torch.randn(2, 4, 32, generator=torch.Generator().manual_seed(3)),
        torch.full((2,), 0.4), torch.zeros(2, 32), cache, torch.zeros(2, dtype=torch.long),
    )  # fmt: skip
    with torch.no_grad():
        assert (model.expert(*call) - other.expert(*call)).abs().max() > 1e-3


def test_small_models_keep_their_own_path():
    config = preset_config("nano")
    assert (config.prompt_header, config.image_rule) == ("", "fit")
    assert config.prefix_hide_probability == 0.0 and not FlowLossConfig.of(config).hide_prefix


@pytest.mark.parametrize("shard_bytes", [10**9, 300_000])
def test_saving_and_loading_again(model, tmp_path, shard_bytes):
    save_released(model, tmp_path, torch.float32, shard_bytes)
    files = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert (len(files) > 1) == (tmp_path / "model.safetensors.index.json").is_file()
    assert len(files) == 1 or files[0] == f"model-00001-of-{len(files):05d}.safetensors"
    again = load_released(tmp_path)
    assert again.config.action_window is None and again.config.prompt_header == PUBLISHED_HEADER
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    assert not list(tmp_path.glob(".*"))


def test_stored_as_bfloat16_and_read_as_asked(model, tmp_path):
    save_released(model, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "bfloat16"
    half = load_released(tmp_path)
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
    full = load_released(tmp_path, torch.float32)
    name = "dit.layers.1.mlp.up_proj.weight"
    torch.testing.assert_close(full.state_dict()[name], half.state_dict()[name].float())
    assert brain_tables(half.vlm, 5, [(2, 2)], fused=False).frequencies.dtype == torch.float32


def test_weights_stored_in_bfloat16_run_through_the_prepared_loop(checkpoint, model, tmp_path):
    save_released(model, tmp_path)
    half = load_released(tmp_path)
    processor = released_processor(checkpoint, model.config)
    cache = half.encode(processor(images(), ["Fold the towel."] * 2))
    none, empty = torch.zeros(2, dtype=torch.long), torch.zeros(2, 0, 32)
    sampler = FlowSampler(half.expert, half.config.num_euler_steps)

    def chunk(**options):
        generator = torch.Generator().manual_seed(4)
        return half.sample_actions(cache, torch.zeros(2, 32), empty, none, generator, **options)

    assert cache.layers[0][0].dtype == torch.bfloat16
    torch.testing.assert_close(chunk(sampler=sampler), chunk(), atol=0.1, rtol=0)


def test_own_switches_survive_a_round_trip(checkpoint, tmp_path):
    model = load_released(checkpoint, action_window=4, noisy_position_offset=10, prefix_max=2)
    save_released(model, tmp_path)
    config = load_released_config(tmp_path)
    assert (config.action_window, config.noisy_position_offset, config.prefix_max) == (4, 10, 2)


def test_a_stored_copy_of_the_tied_head_is_ignored(fresh):
    _, tensors = write_released(fresh)
    embedding = tensors["vlm.model.language_model.embed_tokens.weight"]
    write_shards(fresh, tensors | {"vlm.lm_head.weight": embedding.copy()})
    model = load_released(fresh)
    assert model.vlm.lm_head.weight is model.vlm.model.language_model.embed_tokens.weight
    other = embedding.copy()
    other[5, 3] += 1.0
    write_shards(fresh, tensors | {"vlm.lm_head.weight": other})
    with pytest.raises(CheckpointError, match=r"expected vlm\.lm_head\.weight to equal .*tie_word"):
        load_released(fresh)


def test_missing_unexpected_and_misshapen_tensors(fresh):
    _, tensors = write_released(fresh)
    lost = tensors.pop("sink.weight")
    write_shards(fresh, tensors)
    with pytest.raises(CheckpointError, match=r"1 mismatches, first: sink\.weight is missing"):
        load_released(fresh)
    write_shards(fresh, tensors | {"sink.weight": lost, "score_head.weight": lost})
    with pytest.raises(CheckpointError, match=r"score_head\.weight is not part of the model"):
        load_released(fresh)
    write_shards(fresh, tensors | {"sink.weight": lost[:, :7].copy()})
    with pytest.raises(CheckpointError, match=r"sink.weight has shape \(1, 7\) instead of"):
        load_released(fresh)


def test_damaged_files_are_one_line(fresh):
    shard = fresh / "model-00002-of-00002.safetensors"
    whole = shard.read_bytes()
    for damage in (whole[: len(whole) // 2], whole[:5], b""):
        shard.write_bytes(damage)
        with pytest.raises(CheckpointError, match="complete safetensors") as caught:
            load_released(fresh)
        assert "\n" not in str(caught.value) and shard.name in str(caught.value)
    shard.unlink()
    with pytest.raises(CheckpointError, match=shard.name):
        load_released(fresh)
    index = fresh / "model.safetensors.index.json"
    index.write_text('{"weight_map": {"sink.weight": "../elsewhere.safetensors"}}')
    with pytest.raises(CheckpointError, match="weight_map"):
        load_released(fresh)
    index.unlink()
    with pytest.raises(CheckpointError, match="got neither"):
        load_released(fresh)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"dit_config": None}, "dit_config missing"),
        ({"state_length": 4, "state_dim": 32}, "state_length = 1, got 4"),
        ({"action_dim": 60}, "action_dim = 32, got 60"),
    ],
)
def test_other_architectures_are_refused(tmp_path, change, expected):
    config = released_config() | change
    config = {name: value for name, value in config.items() if value is not None}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=expected):
        load_released_config(tmp_path)
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(CheckpointError, match="readable JSON"):
        load_released_config(tmp_path)


def test_a_failed_write_leaves_the_previous_checkpoint(model, tmp_path, monkeypatch):
    save_released(model, tmp_path, torch.float32, 300_000)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    import safetensors.torch

    genuine, calls = safetensors.torch.save_file, []

    def full_disk(*arguments, **keywords):
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        genuine(*arguments, **keywords)

    monkeypatch.setattr(safetensors.torch, "save_file", full_disk)
    changed = load_released(tmp_path)
    with torch.no_grad():
        changed.sink.weight += 1.0
    with pytest.raises(OSError, match="No space"):
        save_released(changed, tmp_path, torch.float32, 300_000)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_diverged_weights_are_not_saved(checkpoint, tmp_path):
    model = load_released(checkpoint)
    with torch.no_grad():
        model.sink.weight[0, 0] = float("nan")
    with pytest.raises(CheckpointError, match=r"sink\.weight: expected finite"):
        save_released(model, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_chance_of_hiding_a_prefix_row_is_a_field():
    base, lengths = expert_mask(8, None), torch.tensor([6, 6])

    def masks(probability):
        return hide_random_prefix(base, lengths, torch.Generator().manual_seed(0), probability)

    assert torch.equal(masks(0.0), base.expand(2, -1, -1))
    assert not masks(1.0)[:, 8:, 2:6].any() and masks(1.0)[:, 8:, 6:8].all()
    assert torch.equal(
        masks(0.5), hide_random_prefix(base, lengths, torch.Generator().manual_seed(0))
    )
    with pytest.raises(ConfigError, match="prefix_hide_probability"):
        preset_config("nano", prefix_hide_probability=1.5)
