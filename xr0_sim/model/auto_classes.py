"""XR-0 for those who load models by transformers' ``AutoModel``; nothing else imports this."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel

from xr0_sim.model.checkpoints.tensor_layout import EMBEDDING_NAME, TIED_NAME
from xr0_sim.model.spec.config import XR0Config
from xr0_sim.model.vla import XR0ForActionGeneration


class AutoXR0Config(PreTrainedConfig):
    """`XR0Config` as transformers keeps one: its fields under ``policy``."""

    model_type = XR0Config.model_type

    def __init__(self, policy: dict[str, Any] | None = None, **kwargs: Any) -> None:
        self.policy = policy
        super().__init__(**kwargs)


class AutoXR0(XR0ForActionGeneration, PreTrainedModel):
    """`XR0ForActionGeneration` with transformers' ways to save and load."""

    config_class = AutoXR0Config
    base_model_prefix = "xr0"
    _tied_weights_keys = {TIED_NAME: EMBEDDING_NAME}  # noqa: RUF012

    def __init__(self, config: AutoXR0Config) -> None:
        PreTrainedModel.__init__(self, config)
        self.assemble(XR0Config(**(config.policy or {})))
        PreTrainedModel.post_init(self)

    def _init_weights(self, module: torch.nn.Module) -> None:
        """Leaves torch's own initialisation; `initialization` has the seeded one."""


def pretrained(model: XR0ForActionGeneration) -> AutoXR0:
    """A model on the same weights that has ``save_pretrained``."""
    config = AutoXR0Config(
        policy=model.config.to_dict(),
        tie_word_embeddings=model.config.vlm_config.tie_word_embeddings,
    )
    with torch.device("meta"):
        made = AutoXR0(config)
    made.load_state_dict(model.state_dict(), assign=True)
    made.vlm.tie_head()
    return made.eval()


def register_auto_classes() -> None:
    """Makes `AutoConfig` and `AutoModel` of transformers know ``model_type = "xr0"``."""
    AutoConfig.register(XR0Config.model_type, AutoXR0Config, exist_ok=True)
    AutoModel.register(AutoXR0Config, AutoXR0, exist_ok=True)
