"""Configuration of the small XR-0, in the nesting of the released ``config.json``.

The released checkpoints carry ``vlm_config`` and ``dit_config`` beside ``action_length``,
``action_dim`` and ``state_dim``; this class adds what the post-training code fixes by hand, so that
every switch of an ablation is a field.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from xr0_sim.errors import ConfigError
from xr0_sim.model.spec.action_layout import LAYOUT_DIM, STATE_LAYOUTS
from xr0_sim.model.spec.config_schema import HEAD_RULES, POLICY_RULES
from xr0_sim.model.spec.field_rules import Rule
from xr0_sim.model.spec.image_rules import IMAGE_RULES
from xr0_sim.model.spec.qwen_config import VlmConfig, built, typed

HEAD_FIELDS = tuple(HEAD_RULES)
"""Fields that belong to one action-expert head; the rest is shared by all heads of a checkpoint."""


@dataclass
class XR0DiTConfig:
    """Sizes of the action expert.

    Attributes:
        hidden_size: Width; 1024 in the release.
        head_dim: Must equal the VLM's, since both attend over one cache; 128 in the release.
        num_hidden_layers: Layers; layer i reads VLM layer ``L_vlm - L_dit + i``; 16 in the release.
        num_key_value_heads: Must equal the VLM's; 8 in the release.
    """

    hidden_size: int = 1024
    head_dim: int = 128
    num_hidden_layers: int = 16
    num_key_value_heads: int = 8


@dataclass
class XR0Config:
    """The whole policy: VLM, action expert and their switches.

    Attributes:
        vlm_config: `VlmConfig`; may be given as a dict.
        dit_config: `XR0DiTConfig`; may be given as a dict.
        action_length: Chunk rows T; 30 at 30 Hz on robots (report).
        action_dim: Width of an action row; 32 (release).
        state_dim: Width of the state; 32 (release).
        num_euler_steps: Integration steps from noise to action; 5 (report).
        action_window: How many earlier actions an action token sees; 4 in the post-training code
            (the report's mask shaped like a capital lambda), None = plain causal as in the
            released inference code.
        noisy_position_offset: Added to the positions of noisy action tokens, also when there is no
            prefix; 10 in the post-training code, 0 in the released inference code.
        prefix_max: Longest prefix the head was trained for, rows; 6 (report), 0 = none.
        prefix_hide_probability: Chance that training hides an old prefix row from the noisy rows;
            0.5 in the post-training code, 0 = never (report, released inference code).
        state_layout: "raw" (release), "xr0", "extended" or "motion"
            (`xr0_sim.model.spec.action_layout`).
        image_size: Side of the square camera images [px] the weights were trained on.
        image_rule: "fit" or "qwen" (`xr0_sim.model.spec.image_rules`); the released processor is
        the
            stock Qwen one.
        prompt_header: Line before the views, "" = none; the published prompt opens with
            `xr0_sim.model.vlm.prompt.PUBLISHED_HEADER`.
        grounding: `GroundingSpec` as a dict, None when the VLM has no grounding readout.
        proposals: Candidate chunks K of the Action Proposal head, 0 = no such head.
        tokenizer: Name of a tokenizer directory below ``assets``.
        preset: Name of the preset the sizes came from, for the record.
    """

    model_type: ClassVar = "xr0"

    vlm_config: Any = None
    dit_config: Any = None
    action_length: int = 30
    action_dim: int = LAYOUT_DIM
    state_dim: int = LAYOUT_DIM
    num_euler_steps: int = 5
    action_window: int | None = None
    noisy_position_offset: int = 0
    prefix_max: int = 0
    prefix_hide_probability: float = 0.0
    state_layout: str = "extended"
    image_size: int = 128
    image_rule: str = "fit"
    prompt_header: str = ""
    grounding: dict | None = None
    proposals: int = 0
    tokenizer: str = "tokenizer"
    preset: str = "custom"

    def __post_init__(self) -> None:
        """Completes the nested configs and checks that VLM and expert fit together."""
        self.vlm_config = built(VlmConfig, self.vlm_config)
        self.dit_config = built(XR0DiTConfig, self.dit_config)
        text, dit = self.vlm_config.text_config, self.dit_config
        for name in ("head_dim", "num_key_value_heads"):
            if getattr(text, name) != getattr(dit, name):
                raise ConfigError(
                    f"dit_config.{name}: expected the VLM's {getattr(text, name)}, got "
                    f"{getattr(dit, name)}; both attend over the same cache"
                )
        if dit.num_hidden_layers > text.num_hidden_layers:
            raise ConfigError(
                f"dit_config.num_hidden_layers: expected at most the VLM's "
                f"{text.num_hidden_layers}, got {dit.num_hidden_layers}"
            )
        if dit.hidden_size % (dit.head_dim * dit.num_key_value_heads):
            raise ConfigError(
                f"dit_config.hidden_size: expected a multiple of head_dim * num_key_value_heads = "
                f"{dit.head_dim * dit.num_key_value_heads}, got {dit.hidden_size}"
            )
        if self.state_layout not in STATE_LAYOUTS:
            raise ConfigError(f"state_layout: expected {STATE_LAYOUTS}, got {self.state_layout!r}")
        if self.image_rule not in IMAGE_RULES:
            raise ConfigError(f"image_rule: expected {IMAGE_RULES}, got {self.image_rule!r}")
        if not 0.0 <= self.prefix_hide_probability <= 1.0:
            raise ConfigError(
                f"prefix_hide_probability: expected 0..1, got {self.prefix_hide_probability}"
            )
        for name in ("action_length", "image_size", "proposals"):
            _check(name, POLICY_RULES[name], getattr(self, name))
        for name, rule in HEAD_RULES.items():
            _check(name, rule, getattr(self, name))
        if not 0 <= self.prefix_max < self.action_length:
            raise ConfigError(
                f"prefix_max: expected 0..{self.action_length - 1}, got {self.prefix_max}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, to build it again."""
        return asdict(self)

    def to_json(self) -> dict[str, Any]:
        """What stands in ``config.json``, with the model type of every part."""
        return {**typed(self.to_dict()), "model_type": self.model_type}

    def head_dict(self) -> dict[str, object]:
        """The fields that are stored with a head."""
        return {name: getattr(self, name) for name in HEAD_FIELDS}


def _check(name: str, rule: Rule, value: object) -> None:
    if not rule.holds(value):
        raise ConfigError(f"{name}: expected {rule.words}, got {value!r}")
