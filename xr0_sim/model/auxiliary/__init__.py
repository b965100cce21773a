"""Read-outs beside the action expert: grounding, action proposals and visual questions."""
