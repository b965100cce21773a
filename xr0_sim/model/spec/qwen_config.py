"""Sizes of a Qwen3-VL, field by field as the public configuration has them.

Plain dataclasses, since the library that defines them takes longer to import than a network to
load. Old spellings of the rotary fields, which files of the release have, are read as well.
"""

from __future__ import annotations

from dataclasses import InitVar, asdict, dataclass, field
from typing import Any

TEXT_THETA = 500_000.0
VISION_THETA = 10_000.0
"""Bases of the rotary frequencies where a file names none."""


@dataclass
class VisionConfig:
    """Sizes of the vision tower; the meaning of each is in `transformers.Qwen3VLVisionConfig`."""

    depth: int = 27
    hidden_size: int = 1152
    hidden_act: str = "gelu_pytorch_tanh"
    intermediate_size: int = 4304
    num_heads: int = 16
    in_channels: int = 3
    patch_size: int = 16
    spatial_merge_size: int = 2
    temporal_patch_size: int = 2
    out_hidden_size: int = 3584
    num_position_embeddings: int = 2304
    deepstack_visual_indexes: list[int] = field(default_factory=lambda: [8, 16, 24])
    initializer_range: float = 0.02
    rope_parameters: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        """Completes the rotary fields."""
        self.deepstack_visual_indexes = list(self.deepstack_visual_indexes)
        given = self.rope_parameters or {}
        theta = given.get("rope_theta", VISION_THETA)
        self.rope_parameters = {**given, "rope_theta": theta, "rope_type": "axial"}


@dataclass
class TextConfig:
    """Sizes of the language model; the meaning of each is in `transformers.Qwen3VLTextConfig`.

    Args:
        rope_scaling: Old name of ``rope_parameters``.
        rope_theta: Base of the rotary frequencies, in files that keep it beside them.
    """

    vocab_size: int = 151_936
    hidden_size: int = 4096
    intermediate_size: int = 22_016
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int = 32
    head_dim: int = 128
    hidden_act: str = "silu"
    max_position_embeddings: int = 128_000
    initializer_range: float = 0.02
    rms_norm_eps: float = 1e-6
    use_cache: bool = True
    rope_parameters: dict[str, Any] | None = None
    attention_bias: bool = False
    attention_dropout: float = 0.0
    pad_token_id: int | None = None
    tie_word_embeddings: bool = True
    rope_scaling: InitVar[dict[str, Any] | None] = None
    rope_theta: InitVar[float | None] = None

    def __post_init__(self, rope_scaling: dict[str, Any] | None, rope_theta: float | None) -> None:
        """Brings the rotary fields into their present form."""
        given = dict(rope_scaling or self.rope_parameters or {})
        given.setdefault("rope_theta", TEXT_THETA if rope_theta is None else rope_theta)
        given.setdefault("rope_type", given.get("type", "default"))
        self.rope_parameters = given


@dataclass
class VlmConfig:
    """Vision tower, language model and the tokens that stand for pictures.

    Attributes:
        text_config: Of the language model; may be given as a dict.
        vision_config: Of the vision tower; may be given as a dict.
        image_token_id: Token in whose place a visual token stands.
        video_token_id: The same for films, which XR-0 does not show.
        vision_start_token_id: Token before a picture.
        vision_end_token_id: Token behind it.
        tie_word_embeddings: Whether the output head is the input embedding.
    """

    text_config: Any = None
    vision_config: Any = None
    image_token_id: int = 151_655
    video_token_id: int = 151_656
    vision_start_token_id: int = 151_652
    vision_end_token_id: int = 151_653
    tie_word_embeddings: bool = False

    def __post_init__(self) -> None:
        """Builds what was given as dicts."""
        self.text_config = built(TextConfig, self.text_config)
        self.vision_config = built(VisionConfig, self.vision_config)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, to build it again, also the public class."""
        return asdict(self)


MODEL_TYPES = {
    "vlm_config": "qwen3_vl",
    "text_config": "qwen3_vl_text",
    "vision_config": "qwen3_vl_vision",
    "dit_config": "xr0_dit",
}
"""What public files call each part."""


def built(kind: type[Any], given: Any) -> Any:
    """A configuration from itself, from a dict of its fields, or from nothing."""
    if isinstance(given, kind):
        return given
    values = {} if given is None else dict(given)
    values.pop("model_type", None)
    return kind(**values)


def typed(values: dict[str, Any]) -> dict[str, Any]:
    """Plain values of a configuration with the model type of every part, as files have them."""
    return {
        name: {**typed(value), "model_type": MODEL_TYPES[name]}
        if name in MODEL_TYPES and isinstance(value, dict)
        else value
        for name, value in values.items()
    }
