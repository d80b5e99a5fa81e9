"""Shows the detections on photographs: ``python -m focal_star.tools.demo``."""
