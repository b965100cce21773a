"""Cost and accuracy measurements behind ``xr0-sim bench``."""
