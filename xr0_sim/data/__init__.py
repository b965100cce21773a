"""Demonstration and relabelling samples on disk.

Import from the modules; this package file stays empty so that nothing here loads torch.
"""

__all__: list[str] = []
