"""Compares two studies of the same settings, row by row."""
