"""The detectors, their losses and the sampling of anchors."""
