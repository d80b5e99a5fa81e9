"""Data sets: registration, and the checks before training."""
