"""Which code computes a loss and trains, as hashes."""
