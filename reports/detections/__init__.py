"""Photographs of the data set with the detections on them."""
