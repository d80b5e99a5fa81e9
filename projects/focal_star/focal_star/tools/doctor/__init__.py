"""Looks whether a machine has what trainings need: ``python -m focal_star.tools.doctor``."""
