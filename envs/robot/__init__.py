"""Facts of the dual-arm robot: description, kinematics, proprioception and action units."""
