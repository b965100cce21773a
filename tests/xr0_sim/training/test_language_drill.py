"""Sentences alone teach what an instruction decides."""

from __future__ import annotations

import numpy as np
import torch

from xr0_sim.model.auxiliary.grounding import GroundingHead
from xr0_sim.model.auxiliary.grounding_spec import GroundingSpec
from xr0_sim.model.policy_loading import random_policy_model
from xr0_sim.model.spec.presets import preset_config
from xr0_sim.training.instruction_loss import LanguageDrill

SPEC = GroundingSpec(
    regressions=(("place", 2),), classes=(("job", 3), ("red goes to", 2)), points=(("brick", 0),)
)


def sentence(rng):
    side = int(rng.integers(2))
    other = ("left", "right")[1 - side]
    words = f"blue into the {other} bin, red into the {('left', 'right')[side]} bin"
    return words, {"red goes to": side}


def drilled(steps):
    policy = random_policy_model(preset_config("nano"), seed=0)
    torch.manual_seed(0)
    head = GroundingHead(SPEC, 32, 3, (2, 2))
    drill = LanguageDrill(sentence, policy.processor, 16)
    vlm = policy.model.vlm
    optimizer = torch.optim.AdamW([*vlm.parameters(), *head.parameters()], lr=3e-3)
    losses = []
    for step in range(steps):
        loss = drill.loss(vlm, head, np.random.default_rng([0, step]), 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses, vlm


def test_a_sentence_is_understood_after_a_short_drill():
    losses, _ = drilled(80)
    assert np.mean(losses[:5]) > 0.5
    assert np.mean(losses[-5:]) < 0.1


def test_the_drill_leaves_the_vision_tower_alone():
    _, vlm = drilled(1)
    assert all(p.grad is None for p in vlm.model.visual.parameters())


def test_text_only_inputs_carry_the_instruction_and_no_picture():
    processor = random_policy_model(preset_config("nano"), seed=0).processor
    inputs = processor.text_only(["red left", "red into the right bin please"])
    assert len(inputs.patches) == 0 and len(inputs.image_index) == 0
    assert inputs.lengths[1] > inputs.lengths[0]
    assert processor.image_id not in inputs.input_ids
