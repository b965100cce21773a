"""Which kind of processor made a result: kernels differ in their last digits between kinds."""

from __future__ import annotations

import platform
import re
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
NAMES = ("model name", "cpu model", "CPU part", "uarch")
"""Lines of that file that name the kind, on x86, MIPS, Arm and RISC-V."""
VECTORS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "sve", "sve2")
"""Instruction sets by which numerical libraries choose their kernels."""


def processor_kind(cpuinfo: Path = CPUINFO) -> str:
    """Name of the processor and the vector instructions it has, e.g. ``Intel(R) Xeon(R), avx2``.

    Args:
        cpuinfo: The system's description of it; where there is none, Python's is told.
    """
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    entries = dict(re.findall(r"^([^\n:]+?)[ \t]*:[ \t]*(.*?)[ \t]*$", text, re.MULTILINE))
    name = next((entries[key] for key in NAMES if entries.get(key)), "")
    flags = set((entries.get("flags") or entries.get("Features") or "").split())
    name = name or platform.processor() or platform.machine() or "unknown"
    return ", ".join([name, *(vector for vector in VECTORS if vector in flags)])
