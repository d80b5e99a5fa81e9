"""Checks what a training needs on a machine: ``python -m focal_star.tools.doctor``."""
