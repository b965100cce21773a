"""Reinforcement learning on the block task: stages, goal-centred features, decisions, an agent."""
