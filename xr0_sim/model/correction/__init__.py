"""A small head that corrects planned actions in every tick."""
