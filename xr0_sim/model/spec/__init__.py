"""What a model is made of: sizes, layouts, normalisation and rules for pictures."""
