"""Registers ``--env.type=xr0_sim`` with LeRobot, which imports this package by its name."""

from lerobot_env_xr0_sim.config import XR0SimEnv

__all__ = ["XR0SimEnv"]
