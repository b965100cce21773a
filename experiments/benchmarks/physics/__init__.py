"""What the physics of an episode looks like from inside, substep by substep, against limits."""
