"""The three training stages of the small XR-0 and the loop they share.

Import from the modules; this package file stays empty so that nothing here loads torch.
"""

__all__: list[str] = []
