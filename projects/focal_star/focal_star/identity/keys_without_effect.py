"""The config keys that change no result of a training.

This module needs only the standard library, so that cells can be listed without torch.
"""

KEYS_WITHOUT_EFFECT = (
    "CACHE_DIR",
    "DATASETS.CHECK",
    "DATASETS.LINKS",
    "INPUT.MAX_PIXELS",
    "MODEL.FOCAL_STAR.FIRST_LOSS_WARNING",
    "MODEL.TRUSTED_WEIGHTS",
    "OUTPUT_DIR",
    "VERSION",
)
"""A cell's fingerprint and the check of a resumed training's config both ignore them."""
