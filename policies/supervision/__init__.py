"""What training learns from besides actions: labels, questions and rearranged scenes."""
