"""Where a study's files are, and how they are read."""
