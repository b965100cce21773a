"""Scripted experts: closed-loop controllers on privileged state, and chunk oracles made of them."""
