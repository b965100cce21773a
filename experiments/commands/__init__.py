"""The subcommands of ``xr0-sim``, one file each."""
