"""XR-0 as a policy: checkpoints, chunk model and execution horizon."""
