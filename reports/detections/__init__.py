"""Photographs of the data set with what detectors find on them."""
