"""Runs the cells of a study, here or on SLURM."""
