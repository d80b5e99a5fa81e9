"""Command-line tools around a training: doctor, prepare, demo, export."""
