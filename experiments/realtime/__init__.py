"""Episodes against the wall clock: inference beside the control loop, and what it does to it."""
