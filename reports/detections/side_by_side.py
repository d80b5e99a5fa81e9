"""The images on which two losses differ most, with the detections of both, and of CE.

These are FL and FL* in a study that has both. The pictures need the cells' files of detections and
the data set. If these do not exist any more, the report gives the reason instead.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ablations.study.cell import Cell
from ablations.study.grid import Row
from reports.detections.dataset_images import DatasetImages, dataset_images
from reports.detections.gallery import (
    TRUTH_PANEL,
    ComparedRows,
    Gallery,
    Picture,
    compared_rows,
    done_record,
    full_name,
    named,
    reason,
    render,
)
from reports.detections.outcomes import (
    Counts,
    Outcomes,
    PictureError,
    Truth,
    count,
    matched_threshold,
    read_outcomes,
    read_truth,
)
from reports.detections.photographs import (
    FALSE,
    FOUND,
    MISSED,
    TRUTH,
    Box,
    Photograph,
    photographs,
    printable,
)
from reports.results.labels import loss_label
from reports.results.load import Results

FALSE_PER_IMAGE = 0.5
"""Each detector is shown at the score threshold with so many false positives per image.

The losses calibrate differently: a common threshold would compare calibration, not detection.
"""

SHOWN = 3
"""The number of images per picture."""

MAX_OBJECTS = 12
"""Images with more objects are not shown, because their panels are hard to read; but at least half
of all images can be shown."""

_PIXELS = 640
"""The maximum edge of each image in a picture, about twice the edge of a panel."""


@dataclass(frozen=True)
class _Detector:
    """A cell's detections at its score threshold."""

    short: str
    name: str
    cell: str
    outcomes: Outcomes
    threshold: float
    counts: Mapping[int, Counts]

    @property
    def at(self) -> str:
        return f"{self.threshold:.2f}" if np.isfinite(self.threshold) else "no threshold"


@dataclass(frozen=True)
class _Comparison:
    """Two detectors on the images of a data set.

    Attributes:
        images, truth: the data set.
        detectors: the detectors that are shown, the two among them.
        candidate, baseline: the two that are compared.
        max_objects: images with more objects are not shown.
    """

    images: DatasetImages
    truth: Truth
    detectors: Sequence[_Detector]
    candidate: _Detector
    baseline: _Detector
    max_objects: int


def pictures(results: Results) -> Gallery:
    """Ground truth and detections on the images with the largest differences of two losses.

    The difference is that of the numbers of false positives and missed objects, each detector at
    its threshold (see ``FALSE_PER_IMAGE``); ties are broken by image id.
    """
    try:
        compared = compared_rows(results)
        images = dataset_images(results)
        truth = read_truth(images.annotations)
        detectors, missing = _detectors(results, compared, truth)
    except PictureError as error:
        return Gallery(why_not=reason("No detections are shown", [named(error, results)]))
    numbers = truth.objects()
    of_most = int(np.median([*numbers.values()])) if numbers else 0
    comparison = _Comparison(
        images,
        truth,
        list(detectors.values()),
        detectors[compared.candidate],
        detectors[compared.baseline],
        max(MAX_OBJECTS, of_most),
    )
    candidate, baseline = comparison.candidate, comparison.baseline
    legible = [image for image, number in numbers.items() if number <= comparison.max_objects]
    best, worst = ranked(legible, candidate.counts, baseline.counts)
    drawn, why_not = [], missing
    for side, word, ranking in (("best", "better", best), ("worst", "worse", worst)):
        shown, unreadable = _readable(images, truth, ranking)
        why_not += [named(error, results) for error in unreadable]
        if shown:
            drawn.append(_drawn(side, comparison, shown))
        else:
            why_not.append(f"{candidate.short} is {word} than {baseline.short} on no image")
    return Gallery(tuple(drawn), reason("Not shown", why_not))


def ranked(
    images: Sequence[int], candidate: Mapping[int, Counts], baseline: Mapping[int, Counts]
) -> tuple[list[int], list[int]]:
    """Ids of images where the candidate makes fewer and more errors, largest difference first."""
    saved = {image: baseline[image].errors - candidate[image].errors for image in images}
    best = sorted(saved, key=lambda image: (-saved[image], image))
    worst = sorted(saved, key=lambda image: (saved[image], image))
    return [image for image in best if saved[image] > 0], [
        image for image in worst if saved[image] < 0
    ]


def _detectors(
    results: Results, compared: ComparedRows, truth: Truth
) -> tuple[dict[str, _Detector], list[str]]:
    """The detectors of the first seed with detections of all losses, else of the two compared.

    Returns:
        Loss -> detector in the order of the rows, and a text for each missing one.
    """
    chosen: tuple[int, dict[str, Outcomes]] | None = None
    problems: dict[str, str] = {}
    rows, both = compared.rows, {compared.baseline, compared.candidate}
    for seed in results.study.seeds_of(compared.grid):
        of_losses = {}
        for loss, row in rows.items():
            try:
                of_losses[loss] = _outcomes(results, row, seed, truth)
            except PictureError as error:
                problems.setdefault(loss, named(error, results))
        if both <= of_losses.keys() and (not chosen or len(of_losses) > len(chosen[1])):
            chosen = seed, of_losses
        if len(of_losses) == len(rows):
            break
    if not chosen:
        raise PictureError(problems.get(compared.candidate) or problems[compared.baseline])
    seed, of_losses = chosen
    detectors = {}
    for loss, outcomes in of_losses.items():
        threshold = matched_threshold(outcomes, FALSE_PER_IMAGE * len(truth.files))
        counts = count(truth, outcomes, threshold)
        name = full_name(results, rows[loss], seed)
        cell = Cell(rows[loss].setting, seed).id
        detectors[loss] = _Detector(loss_label(loss).short, name, cell, outcomes, threshold, counts)
    return detectors, [
        f"{loss_label(loss).short} ({problems[loss]})" for loss in rows if loss not in of_losses
    ]


def _outcomes(results: Results, row: Row, seed: int, truth: Truth) -> Outcomes:
    """The detections of a row's cell, if they belong to its record."""
    record = done_record(results, row, seed)
    mark = results.cells_layout.cell_fingerprint(record.cell)
    try:
        current = json.loads(mark.read_bytes())["fingerprint"] == record.fingerprint
    except (OSError, ValueError, KeyError, TypeError):
        current = False
    path = results.cells_layout.cell_detections(record.cell)
    if path.is_file() and not current:
        raise PictureError(f"{path} and the record of {record.cell} come from different runs")
    return read_outcomes(path, results.cells_layout.cell_matches(record.cell), truth)


def _readable(
    images: DatasetImages, truth: Truth, ranking: Sequence[int]
) -> tuple[dict[int, Photograph], list[PictureError]]:
    """The first images of a ranking that can be read, and the errors of those before them."""
    shown: dict[int, Photograph] = {}
    unreadable: list[PictureError] = []
    for image in ranking:
        if len(shown) == SHOWN or len(unreadable) == SHOWN:
            break
        try:
            shown[image] = Photograph(*images.read(truth.files[image], _PIXELS))
        except PictureError as error:
            unreadable.append(error)
    return shown, unreadable


def _drawn(side: str, comparison: _Comparison, shown: Mapping[int, Photograph]) -> Picture:
    """A row per image: the ground truth, then each detector.

    Args:
        side: "best" or "worst", for the candidate.
        comparison: the detectors.
        shown: image id -> its photograph.
    """
    truth, detectors = comparison.truth, comparison.detectors
    rows = []
    for number, (image, photograph) in enumerate(shown.items()):
        first = number == 0
        boxes, file_name = _truth_boxes(truth, image), printable(truth.files[image], 26)
        title = "ground truth" if first else ""
        row = [replace(photograph, boxes=boxes, title=title, note=file_name)]
        for detector in detectors:
            boxes = _boxes(truth, detector, image)
            title, note = detector.short if first else "", str(detector.counts[image])
            row.append(replace(photograph, boxes=boxes, title=title, note=note))
        rows.append(row)
    return render(
        partial(photographs, rows, ()),
        name=f"{side}_images",
        title=f"{comparison.candidate.short} against {comparison.baseline.short}: {side} images",
        caption=_caption(side, comparison, len(shown)),
        alternative="; ".join(
            f"{printable(truth.files[image], 60)}: "
            + ", ".join(f"{detector.short} {detector.counts[image]}" for detector in detectors)
            for image in shown
        ),
        of_panels=[TRUTH_PANEL, *(detector.cell for detector in detectors)] * len(rows),
    )


def _caption(side: str, comparison: _Comparison, num_shown: int) -> str:
    change = {"best": "decrease", "worst": "increase"}[side]
    detectors = comparison.detectors
    names = "; ".join(detector.name for detector in detectors)
    scores = ", ".join(f"{detector.short} {detector.at}" for detector in detectors)
    return (
        f"Of {len(comparison.truth.files)} validation images of {comparison.images.name}, the "
        f"{'one' if num_shown == 1 else num_shown} with the largest {change} in errors from "
        f"{comparison.baseline.short} to {comparison.candidate.short} (false positives and missed "
        f"objects at IoU {detectors[0].outcomes.iou:g}), among the images with up to "
        f"{comparison.max_objects} objects; ties are broken by image id. The detectors are "
        f"{names}. Each is shown at the score threshold with {FALSE_PER_IMAGE:g} false positives "
        f"per image: {scores}. {FOUND.label.capitalize()}s are solid, {FALSE.label}s dashed, "
        f"{MISSED.label} objects dotted. Labels that would overlap are omitted."
    )


def _truth_boxes(truth: Truth, image: int) -> list[Box]:
    return [
        Box(
            truth.boxes[n],
            TRUTH,
            truth.names[truth.categories[n]] + (" (crowd)" if truth.crowd[n] else ""),
        )
        for n in np.flatnonzero(truth.images == image)
    ]


def _boxes(truth: Truth, detector: _Detector, image: int) -> list[Box]:
    """The true positives, false positives and missed objects of a detector on one image."""
    outcomes = detector.outcomes
    confident = (outcomes.images == image) & (outcomes.scores >= detector.threshold)
    matched = np.flatnonzero(confident & (outcomes.matched >= 0))
    there = np.flatnonzero((truth.images == image) & ~truth.crowd)
    missed = np.setdiff1d(there, outcomes.matched[matched])
    parts = (
        (MISSED, truth, missed),
        (FALSE, outcomes, np.flatnonzero(confident & outcomes.false)),
        (FOUND, outcomes, matched),
    )
    # The label of a missed object is on the ground truth.
    return [
        Box(of.boxes[n], kind, "" if kind is MISSED else truth.names[of.categories[n]])
        for kind, of, numbers in parts
        for n in numbers
    ]
