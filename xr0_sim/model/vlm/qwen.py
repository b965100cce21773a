"""The modules of Qwen3-VL, by the names of the public class and without its library.

Weights, names and arithmetic are those of ``Qwen3VLForConditionalGeneration``, whose import alone
takes longer than an episode; `xr0_sim.model.vlm.stock` makes one of the other, and a test holds
both to each other. What walks over these modules is `xr0_sim.model.vlm.forward`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

LAYER_NORM_EPS = 1e-6


class VisionMLP(nn.Module):
    """Two layers joined by GELU(tanh)."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.linear_fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.linear_fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """(..., hidden) to the same shape."""
        return self.linear_fc2(functional.gelu(self.linear_fc1(x), approximate="tanh"))


class VisionAttention(nn.Module):
    """Projections of one block; attention itself is `forward.attend`."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.proj = nn.Linear(config.hidden_size, config.hidden_size)


class VisionBlock(nn.Module):
    """One block of the vision tower."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden_size, eps=LAYER_NORM_EPS)
        self.norm2 = nn.LayerNorm(config.hidden_size, eps=LAYER_NORM_EPS)
        self.attn = VisionAttention(config)
        self.mlp = VisionMLP(config)


class PatchEmbed(nn.Module):
    """The kernel that turns a patch into a token."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        size = (config.temporal_patch_size, config.patch_size, config.patch_size)
        self.proj = nn.Conv3d(config.in_channels, config.hidden_size, size, stride=size)


class PatchMerger(nn.Module):
    """Joins the patches of one visual token.

    Args:
        config: Of the vision tower.
        joined_norm: Normalise the joined patches instead of every single one.
    """

    def __init__(self, config: Any, joined_norm: bool) -> None:
        super().__init__()
        self.width = config.hidden_size * config.spatial_merge_size**2
        self._joined_norm = joined_norm
        normed = self.width if joined_norm else config.hidden_size
        self.norm = nn.LayerNorm(normed, eps=LAYER_NORM_EPS)
        self.linear_fc1 = nn.Linear(self.width, self.width)
        self.linear_fc2 = nn.Linear(self.width, config.out_hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """(patches, hidden) to (visual tokens, width of the language model)."""
        joined = x.view(-1, self.width) if self._joined_norm else x
        x = self.norm(joined).view(-1, self.width)
        return self.linear_fc2(functional.gelu(self.linear_fc1(x)))


class VisionTower(nn.Module):
    """Patches to visual tokens and deepstack features, see `forward.encode_images`."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbed(config)
        self.pos_embed = nn.Embedding(config.num_position_embeddings, config.hidden_size)
        self.blocks = nn.ModuleList(VisionBlock(config) for _ in range(config.depth))
        self.merger = PatchMerger(config, joined_norm=False)
        self.deepstack_visual_indexes = list(config.deepstack_visual_indexes)
        self.deepstack_merger_list = nn.ModuleList(
            PatchMerger(config, joined_norm=True) for _ in self.deepstack_visual_indexes
        )


class TextRMSNorm(nn.Module):
    """Root-mean-square norm; the gain is applied in the number format of the tokens."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.variance_epsilon = eps

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to the same shape."""
        wide = x.to(torch.float32)
        variance = wide.pow(2).mean(-1, keepdim=True)
        return self.weight * (wide * torch.rsqrt(variance + self.variance_epsilon)).to(x.dtype)


class TextAttention(nn.Module):
    """Projections and head norms of one layer."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        width, head = config.hidden_size, config.head_dim
        self.head_dim = head
        self.q_proj = nn.Linear(width, config.num_attention_heads * head, bias=False)
        self.k_proj = nn.Linear(width, config.num_key_value_heads * head, bias=False)
        self.v_proj = nn.Linear(width, config.num_key_value_heads * head, bias=False)
        self.o_proj = nn.Linear(config.num_attention_heads * head, width, bias=False)
        self.q_norm = TextRMSNorm(head, config.rms_norm_eps)
        self.k_norm = TextRMSNorm(head, config.rms_norm_eps)


class TextMLP(nn.Module):
    """Gated MLP with SiLU."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., hidden) to the same shape."""
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class TextLayer(nn.Module):
    """One layer of the language model."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.self_attn = TextAttention(config)
        self.mlp = TextMLP(config)
        self.input_layernorm = TextRMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = TextRMSNorm(config.hidden_size, config.rms_norm_eps)


class LanguageModel(nn.Module):
    """Embedding, layers and last norm of the language model."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        padding = config.pad_token_id
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, padding)
        self.layers = nn.ModuleList(TextLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = TextRMSNorm(config.hidden_size, config.rms_norm_eps)


class VisionAndLanguage(nn.Module):
    """Vision tower and language model under their public names."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.visual = VisionTower(config.vision_config)
        self.language_model = LanguageModel(config.text_config)


class Qwen3VL(nn.Module):
    """Qwen3-VL with its output head, by the names of the public class.

    Args:
        config: A ``vlm_config``, see `xr0_sim.model.spec.config.XR0Config`.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.model = VisionAndLanguage(config)
        text = config.text_config
        self.lm_head = nn.Linear(text.hidden_size, text.vocab_size, bias=False)
        self.tie_head()

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.model.language_model.embed_tokens.weight.device

    def tie_head(self) -> None:
        """Makes the output head the input embedding again, where the configuration ties them.

        To be called after weights were assigned rather than copied.
        """
        if self.config.tie_word_embeddings:
            self.lm_head.weight = self.model.language_model.embed_tokens.weight
