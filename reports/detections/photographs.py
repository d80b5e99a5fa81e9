"""Draws boxes on photographs: functions of images and boxes that return matplotlib Axes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

from reports.plots.drawing import GREY, NARROW, WIDTH, styled
from reports.results.colours import BLACK, WHITE

MAX_LETTERS = 18
"""Longer names are cut: a panel is an inch or two wide."""


@dataclass(frozen=True)
class Kind:
    """A kind of box with its colour and, for readers without colour vision, its dashes."""

    label: str
    colour: str
    dashes: str | tuple


TRUTH = Kind("ground truth", WHITE, "-")
FOUND = Kind("true positive", "#56B4E9", "-")
FALSE = Kind("false positive", "#E69F00", (0, (4, 1.5)))
MISSED = Kind("missed", "#F0E442", (0, (1, 1.2)))
KINDS = (TRUTH, FOUND, FALSE, MISSED)
"""The kinds of boxes, in the order of the legend."""


@dataclass(frozen=True)
class Box:
    """A box with a label: x, y, width and height in px of the whole image."""

    box: Sequence[float]
    kind: Kind
    text: str = ""


@dataclass(frozen=True)
class Photograph:
    """A photograph, or a part of one.

    Attributes:
        pixels: (H, W, 3) uint8; in any resolution.
        extent: left, top, right and bottom of these pixels, px of the whole image.
        boxes: drawn on it, clipped to the extent.
        title: above it.
        note: below it.
    """

    pixels: np.ndarray
    extent: tuple[float, float, float, float]
    boxes: Sequence[Box] = ()
    title: str = ""
    note: str = ""


@styled
def photographs(
    rows: Sequence[Sequence[Photograph]], names: Sequence[str] = (), width: float = WIDTH
) -> list[Axes]:
    """Photographs in rows, small ones enlarged, with a legend of the kinds of boxes.

    Args:
        rows: may differ in length.
        names: the names of the rows, drawn at their left; may be empty.
        width: the width of the figure, in inches; in a narrow one, two or three photographs are
            side by side.
    """
    if width <= NARROW:
        rows, names = _broken(rows, names)
    columns = max(len(row) for row in rows)
    is_small = width <= NARROW and columns > 2
    edge = width / columns
    tallest = [max(_aspect(photograph) for photograph in row) for row in rows]
    there = {box.kind for row in rows for photograph in row for box in photograph.boxes}
    kinds = [kind for kind in KINDS if kind in there]
    figure = Figure(
        figsize=(
            width,
            sum(edge * tall + (0.6 if is_small else 0.3) for tall in tallest)
            + (0.35 if width > NARROW else 0.55),
        ),
        layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.01, hspace=0.01),
    )
    grid = figure.subplots(len(rows), columns, squeeze=False, height_ratios=tallest)
    drawn = []
    for number, (row, panels) in enumerate(zip(rows, grid, strict=True)):
        for axes, photograph in zip(panels, row, strict=False):
            _draw(axes, photograph, is_small)
            drawn.append(axes)
        for axes in panels[len(row) :]:
            axes.set_axis_off()
        if names:
            panels[0].set_ylabel(printable(names[number]), fontsize=9, parse_math=False)
    figure.legend(
        handles=[_handle(kind) for kind in kinds],
        loc="outside upper center",
        ncols=max(len(kinds), 1) if width > NARROW else 2,
        fontsize=9,
        handlelength=3,
    )
    figure.draw_without_rendering()  # positions are final from here on
    for axes, photograph in zip(drawn, (one for row in rows for one in row), strict=True):
        _write_words(axes, photograph)
    return drawn


def _broken(
    rows: Sequence[Sequence[Photograph]], names: Sequence[str]
) -> tuple[list[list[Photograph]], list[str]]:
    """The rows in shorter rows; a photograph without a title has that of its column."""
    titles = [photograph.title for photograph in rows[0]]
    shorter: list[list[Photograph]] = []
    shorter_names = []
    for number, row in enumerate(rows):
        length = 2 if len(row) % 2 == 0 else 3
        titled = [
            replace(photograph, title=photograph.title or (titles[k] if k < len(titles) else ""))
            for k, photograph in enumerate(row)
        ]
        parts = [titled[start : start + length] for start in range(0, len(row), length)]
        shorter += parts
        shorter_names += [names[number] if names else ""] * len(parts)
    return shorter, shorter_names if names else []


def printable(text: str, longest: int = MAX_LETTERS) -> str:
    """A text from a data set in one printable line, cut if it is too long."""
    line = "".join(c if c.isprintable() else " " for c in str(text))
    line = " ".join(line.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _aspect(photograph: Photograph) -> float:
    left, top, right, bottom = photograph.extent
    return min((bottom - top) / (right - left), 3.0)


def _draw(axes: Axes, photograph: Photograph, is_small: bool) -> None:
    """Draw a photograph; below a small one, the words of its note are below each other."""
    left, top, right, bottom = photograph.extent
    axes.imshow(photograph.pixels, extent=(left, right, bottom, top), interpolation="hanning")
    axes.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(printable(photograph.title, 40), fontsize=9, pad=3, parse_math=False)
    note = printable(photograph.note, 40)
    if is_small:
        note = "\n".join(printable(part, 15) for part in note.split(", "))
    axes.set_xlabel(note, fontsize=9, labelpad=2, color=GREY, parse_math=False)
    for box in photograph.boxes:
        x, y, width, height = box.box
        axes.add_patch(
            Rectangle(
                (x, y), width, height, fill=False, edgecolor=box.kind.colour, linewidth=1.3,
                linestyle=box.kind.dashes,
                path_effects=[withStroke(linewidth=2.8, foreground=BLACK)],
            )
        )  # fmt: skip


def _write_words(axes: Axes, photograph: Photograph) -> None:
    """Write each box's label at a corner of the box, inside the axes and without overlaps.

    A label without a free place is omitted.
    """
    taken: list[Bbox] = []
    for box in sorted(photograph.boxes, key=lambda box: KINDS.index(box.kind), reverse=True):
        places = _places(box, photograph.extent) if box.text else ()
        for x, y, horizontal, vertical in places:
            text = axes.annotate(
                printable(box.text), (x, y), xytext=(0, 2 if vertical == "bottom" else -2),
                textcoords="offset points", ha=horizontal, va=vertical, fontsize=9,
                color=BLACK, parse_math=False,
                bbox={"facecolor": box.kind.colour, "edgecolor": "none", "pad": 0.6, "alpha": 0.85},
            )  # fmt: skip
            text.set_in_layout(False)
            extent = text.get_window_extent().padded(1.5)
            inside = np.all(extent.min >= axes.bbox.min) and np.all(extent.max <= axes.bbox.max)
            if inside and not extent.count_overlaps(taken):
                taken.append(extent)
                break
            text.remove()


def _places(
    box: Box, extent: tuple[float, float, float, float]
) -> list[tuple[float, float, str, str]]:
    """The places of a box's label: x, y and alignment, the best place first."""
    x, y, width, height = box.box
    left, right = max(x, extent[0]), min(x + width, extent[2])
    top, bottom = max(y, extent[1]), min(y + height, extent[3])
    places = [
        (at, edge, horizontal, vertical)
        for edge, vertical in ((top, "bottom"), (bottom, "top"), (top, "top"), (bottom, "bottom"))
        for at, horizontal in ((left, "left"), (right, "right"))
    ]
    # A false positive often overlaps a true or another false positive.
    return sorted(places, key=lambda place: place[2] == "left") if box.kind is FALSE else places


def _handle(kind: Kind) -> Line2D:
    return Line2D(
        [], [], color=kind.colour, linestyle=kind.dashes, linewidth=1.6, label=kind.label,
        path_effects=[withStroke(linewidth=3.2, foreground=BLACK)],
    )  # fmt: skip
