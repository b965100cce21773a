"""Tasks of the LIBERO benchmark under latency; the simulator lives in an environment of its own."""
