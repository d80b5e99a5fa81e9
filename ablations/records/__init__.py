"""The records of finished cells."""
