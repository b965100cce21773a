"""Programs that other projects' processes start in our Python, see `xr0_sim.outside`."""
