"""Detectors that train on cached features of a frozen backbone, and in less time on small maps."""
