"""The size of the network's input."""

LONG_TO_SHORT = 5 / 3
"""The limit of an image's long edge relative to its short edge: Detectron2's 1333 px at 800."""
