"""Lets these tests use the toy plant and models of the runtime tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "runtime"))
