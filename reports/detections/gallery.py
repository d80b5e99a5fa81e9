"""The pictures of a report, and the cells whose detections they show."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup
from matplotlib.axes import Axes

from ablations.records.record import DONE, Record
from ablations.status.status import MISSING, STALE
from ablations.storage.layout import ROOT
from ablations.study.cell import Cell
from ablations.study.grid import Grid, Row
from reports.detections.outcomes import PictureError
from reports.plots import drawing, svg
from reports.results.labels import BASELINE, CANDIDATE, LOSSES, MAIN_METRIC, loss_label, text_of
from reports.results.load import Results
from reports.results.question import loss_of, model_of, named_candidate

SHOWN_BESIDE = "ce"
"""The loss that is shown beside the two that are compared, if their grid has a row of it."""

TRUTH_PANEL = "ground truth"
"""The name of the panels without detections."""

Place = tuple[float, float, float, float]


@dataclass(frozen=True)
class Picture:
    """Photographs with boxes on them, drawn.

    Attributes:
        name: the stem of its file and its anchor.
        title: the heading.
        caption: its content and origin.
        alternative: its content for readers who cannot see it.
        png: the file beside the page.
        svg_element: its element in a page.
        narrow: the same for a phone; both refer to the photographs.
        photographs: the photographs, WebP.
        panels: cell, or ``TRUTH_PANEL``, -> the place of each of its panels in ``svg_element``:
            left, top, width and height as fractions of it.
    """

    name: str
    title: str
    caption: str
    alternative: str
    png: bytes
    svg_element: str
    narrow: str
    photographs: tuple[svg.Photo, ...] = ()
    panels: Mapping[str, Sequence[Place]] = field(default_factory=dict)

    @property
    def inline(self) -> Markup:
        """Its elements in a page; the alternative text is that of the element around them."""
        return Markup(
            svg.shared(self.photographs, self.name)
            + svg.inline(self.svg_element, self.name, "wide")
            + svg.inline(self.narrow, self.name, "narrow")
        )


@dataclass(frozen=True)
class Gallery:
    """Pictures, and why some are absent ("" if none is)."""

    pictures: tuple[Picture, ...] = ()
    why_not: str = ""


@dataclass(frozen=True)
class ComparedRows:
    """The rows whose detections are shown.

    Attributes:
        grid: the grid that has them.
        rows: loss -> row, in the order in which they are shown.
        baseline: the loss that another one is compared with.
        candidate: the other loss.
    """

    grid: Grid
    rows: Mapping[str, Row]
    baseline: str
    candidate: str


def compared_rows(results: Results) -> ComparedRows:
    """The candidate and the reference row of the first grid that names a candidate, else the first
    row of FL and of FL* of the first grid that has both.

    In a study without one, it is the first grid that compares its reference row with rows of
    another loss and the same model, a user's own loss before others. Of these, the row with the
    highest mean AP is shown.

    Raises:
        PictureError: the study has no such grid.
    """
    named = filter(None, (_with_candidate(results, grid) for grid in results.study.grids))
    if (pair := next(named, None)) is not None:
        return pair
    for grid in results.study.grids:
        rows: dict[str, Row] = {}
        for row in grid.rows:
            rows.setdefault(loss_of(results.study, row), row)
        if {BASELINE, CANDIDATE} <= rows.keys():
            shown = {
                loss: rows[loss] for loss in (SHOWN_BESIDE, BASELINE, CANDIDATE) if loss in rows
            }
            return ComparedRows(grid, shown, BASELINE, CANDIDATE)
    pairs = list(filter(None, (_with_reference(results, grid) for grid in results.study.grids)))
    if not pairs:
        raise PictureError("no table has a reference row and rows of another loss")
    return min(pairs, key=lambda pair: pair.candidate in LOSSES)


def _with_candidate(results: Results, grid: Grid) -> ComparedRows | None:
    """A grid's reference row and the candidate that its file names."""
    named = named_candidate(results.study, grid)
    if named is None or grid.reference is None:
        return None
    reference, row = grid.rows[grid.reference], grid.rows[named]
    baseline, candidate = loss_of(results.study, reference), loss_of(results.study, row)
    return ComparedRows(grid, {baseline: reference, candidate: row}, baseline, candidate)


def _with_reference(results: Results, grid: Grid) -> ComparedRows | None:
    """A grid's reference row and the best row of another loss with the same model, if any."""
    if grid.reference is None:
        return None
    reference = grid.rows[grid.reference]
    baseline, model = loss_of(results.study, reference), model_of(reference.setting.as_dict())
    others: dict[str, list[int]] = {}
    for number, row in enumerate(grid.rows):
        loss = loss_of(results.study, row)
        if loss not in ("", baseline) and model_of(row.setting.as_dict()) == model:
            others.setdefault(loss, []).append(number)
    if not baseline or not others:
        return None
    candidate = min(others, key=lambda loss: loss in LOSSES)
    of_grid = results.frame[results.frame["grid"] == grid.name]
    mean_ap = of_grid.groupby("row")[MAIN_METRIC].mean().fillna(-1)
    best = max(others[candidate], key=lambda number: mean_ap[number])
    shown = {baseline: reference, candidate: grid.rows[best]}
    return ComparedRows(grid, shown, baseline, candidate)


def done_record(results: Results, row: Row, seed: int) -> Record:
    """The record of a row's cell.

    Raises:
        PictureError: the cell is not done.
    """
    cell = Cell(row.setting, seed)
    state = results.status.states.get(cell, MISSING)
    record = results.records.get(cell.id)
    if record is None or record.status != DONE or state not in (DONE, STALE):
        raise PictureError(f"{cell.id} is {state}")
    return record


def full_name(results: Results, row: Row, seed: int) -> str:
    """For example ``FL (α = 0.25, γ = 2), seed 1``; ``, stale`` is appended to a stale cell."""
    loss = loss_label(loss_of(results.study, row)).short
    stale = results.status.states[Cell(row.setting, seed)] == STALE
    name = f"{loss} ({text_of(row.setting, results.study.schedule)}), seed {seed}"
    return f"{name}, stale" if stale else name


def named(error: object, results: Results) -> str:
    """An error's message, with paths relative to the output folder or the repository."""
    return str(error).replace(f"{results.layout.root}{os.sep}", "").replace(f"{ROOT}{os.sep}", "")


def reason(what: str, parts: Sequence[str]) -> str:
    """A sentence that says why something is not shown; "" without a reason."""
    return f"{what}: {'; '.join(dict.fromkeys(parts))}." if parts else ""


def render(
    draw: Callable[[float], Sequence[Axes]],
    name: str,
    title: str,
    caption: str,
    alternative: str,
    of_panels: Sequence[str] = (),
) -> Picture:
    """The files of photographs.

    Args:
        draw: takes the width in inches.
        name, title, caption, alternative: see :class:`Picture`.
        of_panels: the cell of each photograph, or ``TRUTH_PANEL``.
    """
    panels = draw(drawing.WIDTH)
    wide, narrow = (drawing.figure_of(of[0]) for of in (panels, draw(drawing.NARROW)))
    png = drawing.to_png(wide)
    places: dict[str, list[Place]] = {}
    for cell, axes in zip(of_panels, panels, strict=False):
        box = axes.get_position()
        place = (box.x0, 1 - box.y1, box.width, box.height)
        left, top, width, height = (round(float(edge), 4) for edge in place)
        places.setdefault(cell, []).append((left, top, width, height))
    elements = []
    for figure, salt in ((wide, name), (narrow, f"{name}-narrow")):
        for axes in figure.axes:
            for image in axes.images:
                image.set_interpolation("none")  # as it is: the browser enlarges it
        elements.append(drawing.to_svg(figure, salt))
    (on_page, on_phone), photos = svg.share_photographs(elements)
    return Picture(name, title, caption, alternative, png, on_page, on_phone, photos, places)
