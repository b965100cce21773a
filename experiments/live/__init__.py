"""The live environment in a browser: `session` plays it, `server` shows it and takes orders."""
