"""The state of a study, and what is left of it in time and disk."""
