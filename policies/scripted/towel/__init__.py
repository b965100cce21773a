"""The scripted expert of towel folding."""
