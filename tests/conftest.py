"""Shared by all tests: the GL backend is chosen before anything imports MuJoCo."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import envs  # noqa: F401
