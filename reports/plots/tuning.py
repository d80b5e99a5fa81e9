"""Plots AP over the tuning budget."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reports.plots.drawing import NARROW, WIDTH, Numbers, legend_outside, styled

EXPECTED = "expected AP of the best (%)"


@dataclass(frozen=True)
class Budget:
    """The curves of one loss.

    Attributes:
        label: the text in the legend.
        selection: expected AP of the best of k settings on the selection half, k = 1 .. n.
        reporting: its AP on the reporting half.
        colour: the colour of line and marks.
        marker: a marker of matplotlib.
    """

    label: str
    selection: Numbers
    reporting: Numbers
    colour: str
    marker: str = "o"


@styled
def ap_over_budget(losses: Sequence[Budget], width: float = WIDTH) -> list[Axes]:
    """A panel for each half of the images, both on one scale, a line per loss."""
    shape, tall = ((1, 2), 3.6) if width > NARROW else ((2, 1), 4.6)
    figure = Figure(figsize=(width, tall))
    panels = list(figure.subplots(*shape, sharey=True, squeeze=False).ravel())
    for axes, half, title in zip(
        panels, ("reporting", "selection"), ("reporting half", "selection half"), strict=True
    ):
        axes.set_title(title, loc="left")
        for loss in losses:
            values = np.asarray(getattr(loss, half), float)
            axes.plot(
                np.arange(1, len(values) + 1), values, color=loss.colour, marker=loss.marker,
                markersize=5, linewidth=1.5, label=loss.label,
            )  # fmt: skip
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in panels[-1:] if width <= NARROW else panels:
        axes.set_xlabel("settings tried")
    for axes in panels if width <= NARROW else panels[:1]:
        axes.set_ylabel("expected AP\nof the best (%)" if width <= NARROW else EXPECTED)
    legend_outside(panels[0])
    return panels
