"""Path lookups for everything that ships beside the code: MJCF parts, tokenizer, checkpoints."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent

ARM_XML = ROOT / "robot" / "arm.xml"
TOKENIZER_DIR = ROOT / "tokenizer"
CHECKPOINT_DIR = ROOT / "checkpoints"
AGENT_DIR = ROOT / "agents"


def checkpoint_names() -> list[str]:
    """Names of the trained checkpoints that ship with the project."""
    if not CHECKPOINT_DIR.is_dir():
        return []
    return sorted(p.name for p in CHECKPOINT_DIR.iterdir() if (p / "config.json").is_file())


__all__ = ["AGENT_DIR", "ARM_XML", "CHECKPOINT_DIR", "ROOT", "TOKENIZER_DIR", "checkpoint_names"]
