"""Shows what detectors find on photographs: ``python -m focal_star.tools.demo``."""
