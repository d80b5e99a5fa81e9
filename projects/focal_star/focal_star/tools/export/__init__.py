"""Writes a trained detector for others to run: ``python -m focal_star.tools.export``."""
