"""Execution strategies: when to infer, what to condition on, where the chunk goes."""
