"""The flow-matching Diffusion Transformer that emits action chunks."""
