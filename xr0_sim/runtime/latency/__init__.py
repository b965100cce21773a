"""How long an inference takes, and what the controller believes about it."""
