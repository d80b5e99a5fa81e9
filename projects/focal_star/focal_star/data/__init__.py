"""Data sets: registration, the embedded `digits_in_scenes`, and the checks before training."""
