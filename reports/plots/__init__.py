"""Plots: functions of numbers that return matplotlib Axes."""
