"""Action Proposal head: the VLM itself proposes K chunks and scores them.

In the manner of Choice Policies (XR-0 report, stage 1): only the best candidate is pulled towards
the recorded chunk (winner takes all, L1), and the score regresses every candidate's error. It
aligns the VLM's features with the action space; the action expert does not use the candidates.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

PROPOSAL_WIDTH = 256


class ProposalHead(nn.Module):
    """K candidate chunks and K predicted errors from the last prompt token and the state.

    Args:
        hidden: Width of the VLM's hidden states.
        state_dim: Width of the state.
        candidates: K.
        action_length: Chunk rows T.
        action_dim: Width of an action row.
    """

    def __init__(
        self, hidden: int, state_dim: int, candidates: int, action_length: int, action_dim: int
    ) -> None:
        super().__init__()
        self.shape = (candidates, action_length, action_dim)
        self.norm = nn.LayerNorm(hidden)
        self.trunk = nn.Sequential(
            nn.Linear(hidden + state_dim, PROPOSAL_WIDTH),
            nn.GELU(),
            nn.Linear(PROPOSAL_WIDTH, PROPOSAL_WIDTH),
            nn.GELU(),
        )
        self.chunks = nn.Linear(PROPOSAL_WIDTH, candidates * action_length * action_dim)
        self.scores = nn.Linear(PROPOSAL_WIDTH, candidates)

    def forward(self, last: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(F, hidden) and (F, 32) to candidates (F, K, T, 32) and predicted errors (F, K)."""
        trunk = self.trunk(torch.cat([self.norm(last), state], dim=-1))
        return self.chunks(trunk).float().unflatten(-1, self.shape), self.scores(trunk).float()


def proposal_loss(
    candidates: Tensor, scores: Tensor, actions: Tensor, valid: Tensor
) -> dict[str, Tensor]:
    """Winner-takes-all L1 and score regression.

    Args:
        candidates: (F, K, T, 32) normalised.
        scores: (F, K) predicted mean L1 errors.
        actions: (F, T, 32) normalised.
        valid: (F, T, 32) 1 where an entry counts.

    Returns:
        Terms "proposal" and "score".
    """
    entries = valid.sum((1, 2)).clamp_min(1.0)
    error = ((candidates - actions[:, None]).abs() * valid[:, None]).sum((2, 3)) / entries[:, None]
    return {
        "proposal": error.amin(1).mean(),
        "score": (scores - error.detach()).square().mean(),
    }
