"""Replaces the module that train_net.py imports."""

from focal_star.identity import sources as sources
