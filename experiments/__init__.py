"""Experiments and the command line `xr0-sim`; every module is loaded when its command is called."""
