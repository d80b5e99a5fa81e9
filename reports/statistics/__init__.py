"""Comparisons, intervals and tests, made from records."""
