"""FL*, the modified focal loss, and the RetinaNet that trains with it.

The submodules are imported by name (``focal_star.losses`` needs only torch), so this file
imports none of them.
"""

__version__ = "0.2.0"
