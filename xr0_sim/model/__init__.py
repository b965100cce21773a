"""The small XR-0: a Qwen3-VL brain whose KV cache conditions a flow-matching action expert.

Import from the modules; this package file stays empty so that nothing here loads torch.
"""

__all__: list[str] = []
