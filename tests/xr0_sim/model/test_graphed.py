"""The graph path: same numbers as without, and nothing in it that a captured graph cannot hold."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from hot_path import HotPathError, hot_path

from xr0_sim.conventions import CAMERAS
from xr0_sim.model.action_expert.sampler import FlowSampler
from xr0_sim.model.checkpoints.released import meta_model
from xr0_sim.model.compute.devices import graph_on
from xr0_sim.model.compute.graphs import StaticCall
from xr0_sim.model.graphed import BUCKET, GraphedModel
from xr0_sim.model.policy_loading import random_policy_model
from xr0_sim.model.spec.presets import preset_config
from xr0_sim.model.vlm.forward import encode
from xr0_sim.model.vlm.tables import brain_tables, vision_tables

SHORT, LONG = "Fold the towel.", "Put the red brick into the red bin, then the blue one."


def make_policy(preset="nano"):
    policy = random_policy_model(preset_config(preset, action_length=6, prefix_max=3), seed=0)
    generator = torch.Generator().manual_seed(5)
    for parameter in policy.model.vlm.parameters():
        parameter.data.normal_(0.0, 0.2, generator=generator)
    return policy


@pytest.fixture(scope="module")
def policy():
    return make_policy()


def batch(policy, *texts):
    size = policy.config.image_size
    shape = (len(texts), len(CAMERAS), size, size, 3)
    images = np.random.default_rng(len(texts)).integers(0, 256, shape, dtype=np.uint8)
    return policy.processor(images, texts)


def request(rows=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    state = torch.randn(rows, 32, generator=generator)
    prefix, noise = (torch.randn(rows, 6, 32, generator=generator) for _ in range(2))
    return state, prefix, torch.tensor([2, 0][:rows]), noise


def graphed(policy, fused=False):
    return GraphedModel(policy.model, FlowSampler(policy.model.expert, 5), fused=fused)


def assert_caches_close(mine, theirs, mask):
    length = mask.shape[1]
    for one, two in zip(mine.layers, theirs.layers, strict=True):
        for left, right in zip(one, two, strict=True):
            seen = mask[:, None, :, None].expand_as(right)
            torch.testing.assert_close(left[:, :, :length][seen], right[seen], atol=1e-5, rtol=1e-5)
    assert torch.equal(mine.key_mask[:, :length], theirs.key_mask)
    assert not mine.key_mask[:, length:].any()
    assert torch.equal(mine.next_position, theirs.next_position)


@pytest.mark.parametrize("fused", [False, True])
def test_apart_and_together_give_the_chunk_of_the_plain_path(policy, fused):
    inputs = batch(policy, SHORT, LONG)
    plain = policy.model.encode(inputs)
    chunk = FlowSampler(policy.model.expert, 5)(plain, *request(2))
    model = graphed(policy, fused)
    cache = model.encode(inputs)
    assert cache.key_mask.shape[1] % BUCKET == 0
    assert_caches_close(cache, plain, inputs.key_mask())
    torch.testing.assert_close(model.denoise(cache, *request(2)), chunk, atol=1e-5, rtol=1e-5)
    together, kept = model.chunk(inputs, *request(2))
    torch.testing.assert_close(together, chunk, atol=1e-5, rtol=1e-5)
    assert_caches_close(kept, plain, inputs.key_mask())


def test_fused_attention_shares_heads_like_the_explicit_one():
    policy = make_policy("tiny")
    inputs = batch(policy, LONG)
    grids = [group.grid for group in inputs.pictures]
    layers, length = policy.config.dit_config.num_hidden_layers, inputs.input_ids.shape[1]
    caches = [
        encode(policy.model.vlm, inputs, layers, brain_tables(policy.model.vlm, length, grids, way))
        for way in (True, False)
    ]
    assert_caches_close(*caches, inputs.key_mask())


def test_prompts_of_a_bucket_share_a_graph_and_a_memory_outlives_it(policy):
    model = graphed(policy)
    first = batch(policy, SHORT)
    cache = model.encode(first)
    before = [tuple(part.clone() for part in entry) for entry in cache.layers]
    other = replace(first, lengths=first.lengths - 1)
    model.encode(other)
    assert len(model.warm_ups) == 1
    for kept, entry in zip(before, cache.layers, strict=True):
        assert all(torch.equal(one, two) for one, two in zip(kept, entry, strict=True))
    chunk = model.denoise(cache, *request()).clone()
    model.denoise(cache, *request(seed=1))
    assert torch.equal(model.denoise(cache, *request()), chunk)


def test_the_hot_path_holds_no_table_no_question_and_no_host_copy(policy):
    model, inputs = graphed(policy, fused=True), batch(policy, SHORT, LONG)
    cache = model.encode(inputs)
    model.denoise(cache, *request(2))
    model.chunk(inputs, *request(2))
    with hot_path() as watch:
        for call in model._calls.values():
            call.replay()
    assert watch.operations > 200
    assert len(model._calls) == 3


def test_the_hot_path_stays_on_its_device(policy):
    """On the ``meta`` device copies from the processor show, and no number can be asked for."""
    config = preset_config("nano", action_length=6, prefix_max=3)
    model = meta_model(config).eval()
    elsewhere = GraphedModel(model, FlowSampler(model.expert, 5), fused=False)
    inputs = batch(policy, SHORT)
    elsewhere.chunk(inputs, *request())
    elsewhere.denoise(elsewhere.encode(inputs), *request())
    with hot_path() as watch:
        for call in elsewhere._calls.values():
            call.replay()
    assert watch.operations > 200


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (lambda x: x * torch.arange(3), "table"),
        (lambda x: x + torch.tensor([1.0, 2.0, 3.0]), "table"),
        (lambda x: x + torch.zeros(3), "table"),
        (lambda x: x * x.sum().item(), "answer"),
        (lambda x: x[x > 0], "answer"),
        (lambda x: x if bool((x > 0).all()) else -x, "answer"),
        (lambda x: x.to("meta"), "copies"),
        (lambda x: x.new_empty(3, device="meta").copy_(x), "copies"),
    ],
)
def test_a_mistake_on_the_hot_path_is_found(mistake, words):
    x = torch.ones(3)
    with pytest.raises(HotPathError, match=words), hot_path():
        mistake(x)


def test_where_there_are_no_numbers_none_can_be_asked_for():
    with pytest.raises((RuntimeError, NotImplementedError)), hot_path():
        torch.ones(3, device="meta").tolist()


def test_a_call_reads_and_answers_in_the_same_memory():
    seen = []

    def double(x, y):
        seen.append(x.data_ptr())
        return 2 * x + y

    call = StaticCall(double, {"x": torch.ones(2), "y": torch.zeros(2)}, capture=False)
    call.load(x=torch.tensor([3.0, 4.0]))
    assert call.replay().tolist() == [6.0, 8.0]
    call.load(y=torch.tensor([1.0, 1.0]))
    assert call.replay().tolist() == [7.0, 9.0] and len(set(seen)) == 1


def test_without_a_card_one_line_says_so():
    with pytest.warns(UserWarning, match="expected a graphics card, got cpu"):
        assert not graph_on(torch.device("cpu"), True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not graph_on(torch.device("cpu"), False)
        assert graph_on(torch.device("cuda", 0), True)


def test_a_capture_that_fails_goes_on_without(policy):
    model, inputs = graphed(policy), batch(policy, SHORT)
    plain = model.encode(inputs)
    model = graphed(policy)
    model.captures = True
    with pytest.warns(UserWarning, match="graph: .*; kernels start one by one"):
        cache = model.encode(inputs)
    assert not model.captures
    assert_caches_close(cache, plain, plain.key_mask)


@pytest.mark.parametrize("grid", [(8, 8), (4, 6), (18, 18), (2, 2)])
def test_tables_of_pictures_are_those_of_the_public_code(grid):
    from transformers.vision_utils import (
        get_vision_interpolation_indices_and_weights,
        get_vision_position_ids,
    )

    sizes = torch.tensor([[1, *grid]])
    tables = vision_tables(*grid, 6, 2, 16, 1e4, torch.device("cpu"))
    taps, weights = get_vision_interpolation_indices_and_weights(
        sizes, num_grid_per_side=6, mode="bilinear", align_corners=True, spatial_merge_size=2
    )
    assert torch.equal(tables.taps, taps) and torch.equal(tables.weights, weights)
    places = get_vision_position_ids(sizes, 2)[..., None].float()
    angles = (places / 1e4 ** (torch.arange(0, 8, 2) / 8)).flatten(1).repeat(1, 2)
    torch.testing.assert_close(tables.cos[0], angles.cos())
    torch.testing.assert_close(tables.sin[0], angles.sin())


@pytest.mark.gpu
@pytest.mark.parametrize("preset", ["nano", "tiny"])
def test_captured_graphs_equal_kernels_one_by_one(preset):
    policy = make_policy(preset)
    inputs = batch(policy, SHORT, LONG)
    policy.model.cuda()
    captured = GraphedModel(policy.model, FlowSampler(policy.model.expert, 5))
    one_by_one = GraphedModel(policy.model, FlowSampler(policy.model.expert, 5))
    one_by_one.captures = False
    for seed in range(3):
        chunks = [
            model.chunk(inputs, *request(2, seed))[0].cpu() for model in (captured, one_by_one)
        ]
        assert torch.equal(*chunks)
        apart = captured.denoise(captured.encode(inputs), *request(2, seed))
        torch.testing.assert_close(apart.cpu(), chunks[0], atol=1e-5, rtol=1e-5)
    assert captured.captures and len(captured.warm_ups) == 3
