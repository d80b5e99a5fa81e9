"""The largest objects that two losses missed, cropped from their images."""

import math
from functools import partial
from typing import Any

from ablations.records.record import Record
from reports.detections.dataset_images import DatasetImages, dataset_images
from reports.detections.gallery import (
    Gallery,
    compared_rows,
    done_record,
    full_name,
    named,
    reason,
    render,
)
from reports.detections.outcomes import PictureError
from reports.detections.photographs import MISSED, Box, Photograph, photographs, printable
from reports.results.labels import loss_label
from reports.results.load import Results

SHOWN = 5
"""The number of misses per detector."""

_CONTEXT = 2.0
"""The ratio of the edge of a crop to the longer edge of its object."""
_MIN_EDGE = 48.0
"""The minimum edge of a crop, px."""
_PIXELS = 480


def worst_misses(results: Results) -> Gallery:
    """A row of crops for each of two losses, from the first seed whose record lists misses."""
    try:
        compared = compared_rows(results)
        images = dataset_images(results)
    except PictureError as error:
        return Gallery(why_not=reason("No misses are shown", [named(error, results)]))
    drawn, problems = [], []
    losses = compared.baseline, compared.candidate
    for loss in losses:
        row, of_loss = compared.rows[loss], []
        for seed in results.study.seeds_of(compared.grid):
            try:
                crops, unreadable = _crops(done_record(results, row, seed), images)
            except PictureError as error:
                of_loss.append(error)
                continue
            if crops:
                name = full_name(results, row, seed)
                drawn.append((loss_label(loss).short, name, crops))
                of_loss = unreadable
                break
            of_loss += unreadable
        else:
            of_loss = of_loss[:1]  # the other seeds have similar reasons
        problems += [named(error, results) for error in of_loss]
    if not drawn:
        return Gallery(why_not=reason("No misses are shown", problems))
    picture = render(
        partial(photographs, [crops for _, _, crops in drawn], [short for short, _, _ in drawn]),
        name="worst_misses",
        title=f"Largest missed objects, {' and '.join(loss_label(loss).short for loss in losses)}",
        caption=f"The largest objects of the validation images of {images.name} that no detection "
        "of their category matches, by "
        + "; ".join(name for _, name, _ in drawn)
        + ". The dotted box is the object. Below it is the highest score of a matching detection "
        "that is too low to count or, if there is none, the highest IoU with any detection.",
        alternative="; ".join(
            f"{short} missed " + ", ".join(f"{crop.title} ({crop.note})" for crop in crops)
            for short, _, crops in drawn
        ),
    )
    return Gallery((picture,), reason("Not shown", problems))


def _crops(record: Record, images: DatasetImages) -> tuple[list[Photograph], list[PictureError]]:
    """The first misses of a record that can be read, and the errors of those before them.

    Raises:
        PictureError: the record lists no misses.
    """
    analysis = record.result.get("analysis")
    misses = analysis.get("worst_misses") if isinstance(analysis, dict) else None
    if not isinstance(misses, list):
        raise PictureError(f"the record of {record.cell} lists no misses")
    if not misses:
        raise PictureError(f"{record.cell} missed nothing")
    crops: list[Photograph] = []
    unreadable: list[PictureError] = []
    for miss in misses:
        if len(crops) == SHOWN or len(unreadable) == SHOWN:
            break
        try:
            crops.append(_crop(miss, images))
        except PictureError as error:
            unreadable.append(error)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            unreadable.append(PictureError(f"{record.cell} lists an invalid miss: {error!r}"))
    return crops, unreadable


def _crop(miss: Any, images: DatasetImages) -> Photograph:
    """A crop around a missed object."""
    x, y, width, height = map(float, miss["bbox"])
    half = max(width, height, _MIN_EDGE / _CONTEXT) * _CONTEXT / 2
    middle = x + width / 2, y + height / 2
    window = (middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half)
    score, overlap = (miss.get(key) for key in ("best_score", "best_iou"))
    if _is_above_0(score):
        note = f"best score {score:.2g}"
    else:
        note = f"best IoU {overlap:.2f}" if _is_above_0(overlap) else "no detection"
    return Photograph(
        *images.read(str(miss["file_name"]), _PIXELS, window),
        boxes=[Box((x, y, width, height), MISSED)],
        title=printable(str(miss["category"])),
        note=note,
    )


def _is_above_0(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value > 0
