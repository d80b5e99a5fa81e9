"""What a trained detector is measured by."""
