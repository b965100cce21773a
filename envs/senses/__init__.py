"""What the policy perceives of a scene: imperfect cameras and encoders, as a value."""

from envs.senses.episode import EpisodeSenses
from envs.senses.base import Senses

__all__ = ["EpisodeSenses", "Senses"]
