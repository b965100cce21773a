"""The small XR-0: a Qwen3-VL VLM whose KV cache conditions a flow-matching action expert.

Import from the modules; this package file loads nothing heavy.
"""

import logging

__all__: list[str] = []

# Where torchao is installed, transformers loads it with everything else. What it then says about
# kernels of other machines and about torch's own changes is no business of ours.
for _name in ("torchao", "torch.utils._pytree"):
    logging.getLogger(_name).setLevel(logging.ERROR)
