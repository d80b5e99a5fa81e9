"""The output of the demo: a picture for each photograph, and a page with all pictures."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from PIL import Image

from focal_star.tools.detector import Detection

TEMPLATES = Path(__file__).parent / "templates"

WIDTH = 16.0
"""Each of n columns is WIDTH / (n + 1) inches wide, which keeps the text readable."""
MAX_COLUMNS = 4
"""The maximum number of columns per row; more detectors need more rows."""
DPI = 180
QUALITY = 85

COLOURS = (
    "#56B4E9", "#E69F00", "#F0E442", "#009E73", "#CC79A7", "#D55E00", "#0072B2", "#FFFFFF",
)  # fmt: skip
"""Colours of the classes, in turn: Okabe and Ito's, which are distinct to the colour-blind."""

_FLATTEST, _TALLEST = 0.2, 3.0
"""The min and max ratio of height to width of a panel; other photographs do not fill it."""


@dataclass(frozen=True)
class Column:
    """The detections of one detector on a photograph."""

    title: str
    detections: Sequence[Detection]


def draw(photograph: Image.Image, columns: Sequence[Column], classes: Sequence[str]) -> bytes:
    """The photograph once for each column, with its detections, as JPEG.

    The same input gives the same bytes.

    Args:
        photograph: RGB, of any size.
        columns: the detections, with boxes in px of the photograph.
        classes: all class names; the position of a class determines its colour.
    """
    width, height = photograph.size
    across = min(len(columns), MAX_COLUMNS)
    down = math.ceil(len(columns) / across)
    wide = WIDTH / (across + 1)
    shown = photograph.copy()
    shown.thumbnail((int(wide * DPI), int(_TALLEST * wide * DPI)), Image.Resampling.LANCZOS)
    colours = {name: COLOURS[n % len(COLOURS)] for n, name in enumerate(dict.fromkeys(classes))}
    with rc_context({"font.family": "DejaVu Sans", "figure.constrained_layout.use": True}):
        tall = wide * min(max(height / width, _FLATTEST), _TALLEST) + 0.3
        figure = Figure(figsize=(wide * across, tall * down))
        panels = list(figure.subplots(down, across, squeeze=False).flat)
        for axes in panels:
            axes.set_axis_off()
        for axes, column in zip(panels, columns, strict=False):
            axes.imshow(shown, extent=(0, width, height, 0), interpolation="hanning")
            axes.set(xlim=(0, width), ylim=(height, 0))
            axes.set_title(_line(column.title, 60), fontsize=9, parse_math=False)
            for detection in reversed(column.detections):  # the highest score on top
                _draw(axes, detection, colours[detection.category], height)
        buffer = io.BytesIO()
        figure.savefig(
            buffer, format="jpeg", dpi=DPI, pil_kwargs={"quality": QUALITY, "optimize": True}
        )
    return buffer.getvalue()


def page(
    source: str,
    at: str,
    detectors: Sequence[dict[str, Any]],
    photographs: Sequence[dict[str, Any]],
    skipped: Sequence[dict[str, str]],
    folder: Path,
) -> bytes:
    """The page with all pictures embedded, so that it can be sent as one file.

    Args:
        source: the folder or file of the photographs.
        at: the sentence on the choice of the thresholds.
        detectors: ``name``, ``threshold``, ``weights`` and ``note`` of each.
        photographs: the entries of ``detections.json``.
        skipped: ``file`` and ``why`` of each file that could not be read.
        folder: the output folder, which contains the pictures.
    """

    def picture(photograph: dict[str, Any]) -> str:
        content = (folder / photograph["picture"]).read_bytes()
        return "data:image/jpeg;base64," + base64.b64encode(content).decode()

    def alternative(photograph: dict[str, Any]) -> str:
        return "; ".join(
            f"{detector['name']}: "
            + (", ".join(f"{d['category']} {d['score']:.2f}" for d in detections) or "nothing")
            for detector, detections in zip(detectors, photograph["detections"], strict=True)
        )

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    content = environment.get_template("demo.html.j2").render(
        source=source,
        at=at,
        detectors=detectors,
        photographs=photographs,
        skipped=skipped,
        picture=picture,
        alternative=alternative,
    )
    return content.encode(errors="replace")  # a file's name need not be UTF-8


def _draw(axes, detection: Detection, colour: str, height: int) -> None:
    x, y, box_width, box_height = detection.box
    axes.add_patch(
        Rectangle(
            (x, y), box_width, box_height, fill=False, edgecolor=colour, linewidth=1.8,
            path_effects=[withStroke(linewidth=3.4, foreground="#000000")],
        )
    )  # fmt: skip
    above = y > 0.05 * height
    axes.annotate(
        f"{_line(detection.category, 24)} {detection.score:.2f}",
        (max(x, 0), max(y, 0)), xytext=(0, 2 if above else -2), textcoords="offset points",
        va="bottom" if above else "top", fontsize=8, color="#000000", clip_on=True,
        annotation_clip=True, parse_math=False,
        bbox={"facecolor": colour, "edgecolor": "none", "pad": 1, "alpha": 0.85},
    ).set_in_layout(False)  # fmt: skip


def _line(text: str, max_length: int) -> str:
    """The text on one line, without characters that cannot be printed, cut if it is too long."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= max_length else line[: max_length - 1] + "…"
