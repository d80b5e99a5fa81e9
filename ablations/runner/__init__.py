"""Runs the cells of a study, on this machine or on SLURM."""
