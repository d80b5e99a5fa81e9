"""What a picture in a report is, and whose detections are shown."""

import base64
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

from ablations.records.record import DONE, Record
from ablations.status.status import MISSING, STALE
from ablations.storage.layout import ROOT
from ablations.study.cell import Cell
from ablations.study.grid import Grid, Row
from reports.detections.matching import PictureError
from reports.plots import drawing
from reports.results.labels import LOSSES, setting_text
from reports.results.load import Results

COMPARED = ("ce", "focal", "focal_star")
"""The losses that are shown side by side, of a grid's first row of each."""
BASELINE, CANDIDATE = "focal", "focal_star"
"""What is chosen is chosen by these two."""

_QUALITY = 80


@dataclass(frozen=True)
class Picture:
    """Photographs with boxes on them, drawn.

    Attributes:
        name: the stem of its file and its anchor.
        title: what it is of.
        caption: how it came about, in words.
        alternative: what it shows, in words.
        png: the file beside the page.
        webp: the same, smaller, to stand in the page.
    """

    name: str
    title: str
    caption: str
    alternative: str
    png: bytes
    webp: bytes

    @property
    def data_uri(self) -> str:
        """The picture as an address that needs no network."""
        return "data:image/webp;base64," + base64.b64encode(self.webp).decode()

    @property
    def inline(self) -> Markup:
        """To stand in a page."""
        with Image.open(io.BytesIO(self.webp)) as image:
            width, height = image.size
        return Markup('<img src="{}" alt="{}" width="{}" height="{}">').format(
            self.data_uri, self.alternative, width, height
        )


@dataclass(frozen=True)
class Gallery:
    """Pictures, and in words what of them there is not ("" where all are there)."""

    pictures: tuple[Picture, ...] = ()
    why_not: str = ""


def compared_rows(results: Results) -> tuple[Grid, dict[str, Row]]:
    """The first grid that has both FL and FL*, and loss -> its first row of each of ``COMPARED``.

    Raises:
        PictureError: the study has no such grid.
    """
    for grid in results.study.grids:
        rows: dict[str, Row] = {}
        for row in grid.rows:
            rows.setdefault(row.setting.as_dict().get("loss", ""), row)
        if {BASELINE, CANDIDATE} <= rows.keys():
            return grid, {loss: rows[loss] for loss in COMPARED if loss in rows}
    short = " and ".join(LOSSES[loss].short for loss in (BASELINE, CANDIDATE))
    raise PictureError(f"no table has rows of both {short}")


def done_record(results: Results, row: Row, seed: int) -> Record:
    """The record of a row's cell that was trained to its end.

    Raises:
        PictureError: there is none.
    """
    cell = Cell(row.setting, seed)
    state = results.status.states.get(cell, MISSING)
    record = results.records.get(cell.id)
    if record is None or record.status != DONE or state not in (DONE, STALE):
        raise PictureError(f"{cell.id} is {state}")
    return record


def full_name(results: Results, row: Row, seed: int) -> str:
    """For example ``FL (α = 0.25, γ = 2), seed 1``, with a word where the cell is stale."""
    values = row.setting.as_dict()
    stale = results.status.states[Cell(row.setting, seed)] == STALE
    name = f"{LOSSES[values['loss']].short} ({setting_text(values)}), seed {seed}"
    return f"{name}, stale" if stale else name


def named(error: object, results: Results) -> str:
    """An error's words, with files named from the output folder or from the repository."""
    return str(error).replace(f"{results.layout.root}{os.sep}", "").replace(f"{ROOT}{os.sep}", "")


def reason(what: str, parts: Sequence[str]) -> str:
    """What is not shown and why, in a sentence; "" without a reason."""
    return f"{what}: {'; '.join(dict.fromkeys(parts))}." if parts else ""


def render(figure: Figure, name: str, title: str, caption: str, alternative: str) -> Picture:
    """The files of a drawn picture."""
    png, webp = drawing.to_png(figure), io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image.convert("RGB").save(webp, "WEBP", quality=_QUALITY, method=6)
    return Picture(name, title, caption, alternative, png, webp.getvalue())
