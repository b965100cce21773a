"""Pictures of an episode: overlay, video and timeline."""
