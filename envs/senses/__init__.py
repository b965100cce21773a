"""What the policy perceives of a scene: imperfect cameras and encoders, as a value."""

from envs.senses.base import Senses
from envs.senses.episode import EpisodeSenses

__all__ = ["EpisodeSenses", "Senses"]
