"""The scripted expert of block dismantling."""
