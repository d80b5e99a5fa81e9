"""Measures a trained detector: AP, the analysis of its errors, losses and speed."""
