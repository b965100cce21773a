"""Command-line options shared by several subcommands, and what they resolve to."""
