"""What the policy perceives of the truth: faults of pictures and of joint readings."""
