"""Grounding vectors, readout losses and the proposal loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xr0_sim.errors import ConfigError
from xr0_sim.model.auxiliary.grounding import GroundingHead
from xr0_sim.model.auxiliary.grounding_spec import GroundingSpec
from xr0_sim.model.auxiliary.proposal import ProposalHead, proposal_loss

SPEC = GroundingSpec(
    regressions=(("brick", 3), ("bin", 3)),
    classes=(("side", 2),),
    points=(("brick", 0), ("brick", 1)),
)


def test_layout_and_packing():
    assert SPEC.width == 6 + 1 + 4
    assert GroundingSpec.from_dict(SPEC.to_dict()) == SPEC
    vector, mask = SPEC.pack(
        {"bin": [1, 2, 3], "side": 1, "brick@0": (0.2, 0.9), "brick@1": (1.2, 0)}
    )
    np.testing.assert_allclose(vector[3:7], [1, 2, 3, 1])
    assert mask.tolist() == [False] * 3 + [True] * 4 + [True] * 2 + [False] * 2
    assert SPEC.pack({"brick": None})[1].sum() == 0
    with pytest.raises(ConfigError, match="expected names"):
        SPEC.pack({"brik": 1})


def test_readout_learns_a_toy_scene():
    torch.manual_seed(0)
    head = GroundingHead(SPEC, 32, cameras=2, token_grid=(4, 4))
    generator = torch.Generator().manual_seed(1)
    frames = 16
    uv = torch.rand(frames, 2, 2, generator=generator)
    visual = torch.zeros(frames, 2, 16, 32)
    visual[..., :16] = torch.eye(16)
    cell = (uv * 4).floor().long()
    tokens = cell[..., 1] * 4 + cell[..., 0]
    for camera in range(2):
        row = torch.arange(frames)
        visual[row, camera, tokens[:, camera], 20] = 5.0
        visual[row, camera, tokens[:, camera], 22:24] = (uv * 4 - cell)[:, camera] * 4
    last = torch.randn(frames, 32, generator=generator)
    target = torch.cat([last[:, :6], (last[:, 6:7] > 0).float(), uv.flatten(1)], 1)
    mask = torch.ones_like(target, dtype=torch.bool)
    optimizer = torch.optim.Adam(head.parameters(), 5e-3)
    for _ in range(250):
        terms = head.loss(head(last, visual.flatten(1, 2), visual.flatten(1, 2)), target, mask)
        sum(terms.values()).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert set(terms) == {"regression", "classes", "pointing", "offset"}
    found = head.read(head(last, visual.flatten(1, 2), visual.flatten(1, 2)))
    assert (found["side"] == target[:, 6]).all()
    assert (found["brick@1"] - uv[:, 1]).abs().max() < 0.08


@pytest.mark.parametrize("term", ["lift", "early_lift"])
def test_a_lift_is_asked_of_the_token_that_holds_its_point(term):
    torch.manual_seed(0)
    spec = GroundingSpec(SPEC.regressions, SPEC.classes, SPEC.points, (("brick", 1, "brick"),))
    assert spec.width == SPEC.width and GroundingSpec.from_dict(spec.to_dict()) == spec
    head = GroundingHead(spec, 32, cameras=2, token_grid=(4, 4))
    visual = torch.randn(2, 2 * 16, 32, requires_grad=True)
    target, mask = torch.zeros(2, spec.width), torch.ones(2, spec.width, dtype=torch.bool)
    target[:, -2:] = torch.tensor([[0.3, 0.9], [0.8, 0.1]])  # tokens 13 and 3
    mask[1, :3] = False
    other = torch.randn(2, 2 * 16, 32)
    given = (visual, other) if term == "lift" else (other, visual)
    head.loss(head(torch.randn(2, 32), *given), target, mask)[term].backward()
    touched = visual.grad.abs().sum(-1) > 0
    assert touched.nonzero().tolist() == [[0, 16 + 13]]
    with pytest.raises(ConfigError, match="expected a point and a regression"):
        GroundingHead(
            GroundingSpec(SPEC.regressions, (), SPEC.points, (("brick", 2, "bin"),)), 32, 2, (4, 4)
        )


def test_masked_targets_give_no_gradient():
    head = GroundingHead(SPEC, 16, cameras=2, token_grid=(2, 2))
    last = torch.randn(3, 16, requires_grad=True)
    terms = head.loss(
        head(last, torch.randn(3, 8, 16), torch.randn(3, 8, 16)),
        torch.rand(3, SPEC.width).floor(),
        torch.zeros(3, SPEC.width, dtype=torch.bool),
    )
    sum(terms.values()).backward()
    assert (last.grad == 0).all()


def test_only_the_winning_candidate_is_pulled():
    actions = torch.zeros(1, 4, 32)
    candidates = torch.stack([actions + 1.0, actions + 0.2, actions - 3.0], 1).requires_grad_()
    scores = torch.zeros(1, 3, requires_grad=True)
    valid = torch.ones(1, 4, 32)
    terms = proposal_loss(candidates, scores, actions, valid)
    assert terms["proposal"].item() == pytest.approx(0.2)
    assert terms["score"].item() == pytest.approx((1 + 0.04 + 9) / 3)
    sum(terms.values()).backward()
    touched = candidates.grad.abs().sum((0, 2, 3)) > 0
    assert touched.tolist() == [False, True, False]
    head = ProposalHead(8, 32, 3, 4, 32)
    chunks, errors = head(torch.zeros(2, 8), torch.zeros(2, 32))
    assert chunks.shape == (2, 3, 4, 32) and errors.shape == (2, 3)
