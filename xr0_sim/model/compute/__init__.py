"""Devices, number formats and matrix products."""
