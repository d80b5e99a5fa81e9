"""The colours of figures, each on a light and on a dark page.

Figures are drawn with the light colours. In the page, every colour of ``PALETTE`` is a variable of
the style sheet, whose value depends on the theme (``reports/plots/svg.py``). Every colour of a line
or a text has a contrast of at least ``MIN_CONTRAST`` on both papers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import to_rgb

MIN_CONTRAST = 3.0
"""The contrast ratio that WCAG 2 (1.4.11) requires of lines and marks."""


@dataclass(frozen=True)
class Colour:
    """A colour on light and on dark paper, as ``#rrggbb`` in lower case."""

    light: str
    dark: str


PAPER = Colour("#ffffff", "#15171a")
INK = Colour("#333333", "#e4e6e9")
SOFT = Colour("#6b6b6b", "#a5abb3")
FRAME = Colour("#767676", "#8a9099")
GRID = Colour("#e6e6e6", "#2b2f35")

CE = Colour("#555555", "#b4b9c0")
FOCAL = Colour("#0072b2", "#5cb8ee")
FOCAL_STAR = Colour("#d55e00", "#f5914a")
FOCAL_APPENDIX = Colour("#00875f", "#35c79a")
FASTER_RCNN = Colour("#a8578a", "#dc92c0")
NEW_LOSS = Colour("#8b5a2b", "#d0a36f")
STALE = Colour("#8a8a8a", "#7c828a")

PALETTE = {
    "paper": PAPER,
    "ink": INK,
    "soft": SOFT,
    "frame": FRAME,
    "grid": GRID,
    "ce": CE,
    "focal": FOCAL,
    "focal-star": FOCAL_STAR,
    "focal-appendix": FOCAL_APPENDIX,
    "faster-rcnn": FASTER_RCNN,
    "new-loss": NEW_LOSS,
    "stale": STALE,
}
"""Name of the variable in the style sheet, without its ``--c-`` -> colour; no two are the same."""

WHITE, BLACK = "#fefefe", "#010101"
"""The same on every page, for text on a coloured ground; not in the palette."""


def contrast(first: str | Sequence[float], second: str | Sequence[float]) -> float:
    """The contrast ratio of two colours as WCAG 2 defines it, from 1 to 21."""
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str | Sequence[float]) -> float:
    channels = np.asarray(to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))
