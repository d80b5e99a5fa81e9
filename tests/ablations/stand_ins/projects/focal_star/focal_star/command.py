"""Stands for what train_net.py imports."""

from focal_star import sources as sources
