"""The checks that a data set passes before anything is trained on it."""
