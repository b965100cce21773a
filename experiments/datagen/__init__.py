"""Sources of training samples: demonstrations, corrections and rearranged scenes."""
