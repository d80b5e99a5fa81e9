"""Stands for what train_net.py imports."""
