"""Everything with `predict`: the XR-0 policy and the scripted experts; loads nothing by itself."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from policies.chunk_policy import ChunkPolicy
    from policies.scripted.policy import ScriptedPolicy
    from policies.xr0.policy import XR0Policy

_HOMES = {
    "ChunkPolicy": "policies.chunk_policy",
    "ScriptedPolicy": "policies.scripted.policy",
    "XR0Policy": "policies.xr0.policy",
}

__all__ = ["ChunkPolicy", "ScriptedPolicy", "XR0Policy"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'policies' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
