"""Trains a model: the loop, what watches it, its checkpoints, and what it starts from."""
