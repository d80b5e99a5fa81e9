"""Fits a config to one's own data: input scale, anchors and schedule, from boxes and images."""
