"""What determines a cell's result: its fingerprint, the code, the prepared files."""
