"""The paths of a study's files, and their reading and writing."""
