"""Training of agents on the stages of the block task with Stable-Baselines3."""
