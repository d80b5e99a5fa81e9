"""Which photographs a report shows, and what CE, FL and FL* do on them.

Records know none of this: it takes the cells' files of detections and the data set, and either may
be elsewhere by the time a report is written. Then there are no pictures, and a reason.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ablations.study.grid import Row
from reports.detections.dataset_images import DatasetImages, dataset_images
from reports.detections.gallery import (
    BASELINE,
    CANDIDATE,
    Gallery,
    Picture,
    compared_rows,
    done_record,
    full_name,
    named,
    reason,
    render,
)
from reports.detections.matching import (
    IOU,
    Counts,
    Matches,
    PictureError,
    Truth,
    count,
    matched_threshold,
    read_matches,
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
from reports.results.labels import LOSSES
from reports.results.load import Results

FALSE_PER_IMAGE = 0.5
"""Each detector is shown at the score at which it has so many false positives an image.

Losses calibrate differently: one score for all would show one detector's caution, not its skill.
"""

SHOWN = 3
"""How many images on either side."""

MOST_OBJECTS = 12
"""Of an image that is shown: with more, a panel cannot be read."""

_PIXELS = 640
"""The longest edge of an image in a picture, about twice what a panel of it has."""


@dataclass(frozen=True)
class _Detector:
    """A cell's detections, seen from its matched score on."""

    short: str
    name: str
    matches: Matches
    threshold: float
    counts: Mapping[int, Counts]

    @property
    def at(self) -> str:
        return f"{self.threshold:.2f}" if np.isfinite(self.threshold) else "none of its scores"


def pictures(results: Results) -> Gallery:
    """Ground truth and detections on the images where FL* does best and worst against FL.

    An image's measure is the number of errors, false positives and missed objects at IoU 0.5, each
    detector at its matched score (see ``FALSE_PER_IMAGE``); images of equal difference are taken
    in the order of their ids.
    """
    try:
        grid, rows = compared_rows(results)
        images = dataset_images(results)
        truth = read_truth(images.annotations)
        detectors, missing = _detectors(results, rows, results.study.seeds_of(grid), truth)
    except PictureError as error:
        return Gallery(why_not=reason("No detections are shown", [named(error, results)]))
    legible = [image for image, number in truth.objects().items() if number <= MOST_OBJECTS]
    best, worst = ranked(legible, detectors[CANDIDATE].counts, detectors[BASELINE].counts)
    found, why_not = [], missing
    for side, word, ranking in (("best", "better", best), ("worst", "worse", worst)):
        shown, unreadable = _readable(images, truth, ranking)
        why_not += [named(error, results) for error in unreadable]
        if shown:
            found.append(_compared(side, images, truth, list(detectors.values()), shown))
        else:
            candidate, baseline = (detectors[loss].short for loss in (CANDIDATE, BASELINE))
            why_not.append(f"no image is there on which {candidate} does {word} than {baseline}")
    return Gallery(tuple(found), reason("Not shown", why_not))


def ranked(
    images: Sequence[int], candidate: Mapping[int, Counts], baseline: Mapping[int, Counts]
) -> tuple[list[int], list[int]]:
    """Image ids: where the candidate makes fewer errors, and where more, the largest gap first."""
    saved = {image: baseline[image].errors - candidate[image].errors for image in images}
    best = sorted(saved, key=lambda image: (-saved[image], image))
    worst = sorted(saved, key=lambda image: (saved[image], image))
    return [image for image in best if saved[image] > 0], [
        image for image in worst if saved[image] < 0
    ]


def _detectors(
    results: Results, rows: Mapping[str, Row], seeds: Sequence[int], truth: Truth
) -> tuple[dict[str, _Detector], list[str]]:
    """The detectors of the first seed of which all, or else FL and FL*, have their detections.

    Returns:
        Loss -> detector in the order of the rows, and what is missing, in words.
    """
    chosen, problems = None, {}
    for seed in seeds:
        found = {}
        for loss, row in rows.items():
            try:
                found[loss] = _matches(results, row, seed, truth)
            except PictureError as error:
                problems.setdefault(loss, named(error, results))
        if {BASELINE, CANDIDATE} <= found.keys() and (not chosen or len(found) > len(chosen[1])):
            chosen = seed, found
        if len(found) == len(rows):
            break
    if not chosen:
        raise PictureError(problems.get(CANDIDATE) or problems[BASELINE])
    seed, found = chosen
    detectors = {}
    for loss, matches in found.items():
        threshold = matched_threshold(matches, FALSE_PER_IMAGE * len(truth.files))
        counts = count(truth, matches, threshold)
        name = full_name(results, rows[loss], seed)
        detectors[loss] = _Detector(LOSSES[loss].short, name, matches, threshold, counts)
    return detectors, [
        f"{LOSSES[loss].short}, as {problems[loss]}" for loss in rows if loss not in found
    ]


def _matches(results: Results, row: Row, seed: int, truth: Truth) -> Matches:
    """The detections of a row's cell, as long as they are what its record tells of."""
    record = done_record(results, row, seed)
    mark = results.cells_layout.cell_fingerprint(record.cell)
    try:
        current = json.loads(mark.read_bytes())["fingerprint"] == record.fingerprint
    except (OSError, ValueError, KeyError, TypeError):
        current = False
    path = results.cells_layout.cell_detections(record.cell)
    if path.is_file() and not current:
        raise PictureError(f"{path} is of another training than the record of {record.cell}")
    return read_matches(path, truth)


def _readable(
    images: DatasetImages, truth: Truth, ranking: Sequence[int]
) -> tuple[dict[int, Photograph], list[PictureError]]:
    """The first few images of a ranking, and why those before them cannot be shown."""
    shown, unreadable = {}, []
    for image in ranking:
        if len(shown) == SHOWN or len(unreadable) == SHOWN:
            break
        try:
            shown[image] = Photograph(*images.read(truth.files[image], _PIXELS))
        except PictureError as error:
            unreadable.append(error)
    return shown, unreadable


def _compared(
    side: str,
    images: DatasetImages,
    truth: Truth,
    detectors: Sequence[_Detector],
    shown: Mapping[int, Photograph],
) -> Picture:
    """A row for each image: the ground truth, then each detector."""
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
        photographs(rows)[0].figure,
        name=f"{side}_images",
        title=f"Where {LOSSES[CANDIDATE].short} does {side} against {LOSSES[BASELINE].short}",
        caption=_caption(side, images.name, len(truth.files), detectors, len(shown)),
        alternative="; ".join(
            f"{printable(truth.files[image], 60)}: "
            + ", ".join(f"{detector.short} {detector.counts[image]}" for detector in detectors)
            for image in shown
        ),
    )


def _caption(
    side: str, dataset: str, num_images: int, detectors: Sequence[_Detector], num_shown: int
) -> str:
    fewest_or_most = {"best": "fewest", "worst": "most"}[side]
    names = "; ".join(detector.name for detector in detectors)
    scores = ", ".join(f"{detector.short} {detector.at}" for detector in detectors)
    return (
        f"The {num_shown} of {num_images} validation images of {dataset} on which "
        f"{LOSSES[CANDIDATE].short} makes {fewest_or_most} errors against {LOSSES[BASELINE].short} "
        f"(false positives and missed objects at IoU {IOU}), of those with up to {MOST_OBJECTS} "
        "objects; chosen by this number alone, of equal ones by image id. "
        f"{names}. Each is shown from the score on at which it has {FALSE_PER_IMAGE:g} false "
        f"positives an image over all of them: {scores}. {FOUND.label.capitalize()}s are solid, "
        f"{FALSE.label}s dashed, {MISSED.label} objects dotted. Words that would cover each other "
        "are left out."
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
    """What a detector found, said falsely, and missed on an image."""
    matches = detector.matches
    kept = (matches.images == image) & (matches.scores >= detector.threshold)
    found = np.flatnonzero(kept & (matches.found >= 0))
    there = np.flatnonzero((truth.images == image) & ~truth.crowd)
    missed = np.setdiff1d(there, matches.found[found])
    parts = (
        (MISSED, truth, missed),
        (FALSE, matches, np.flatnonzero(kept & matches.false)),
        (FOUND, matches, found),
    )
    # What was missed is named on the ground truth, in the same place.
    return [
        Box(of.boxes[n], kind, "" if kind is MISSED else truth.names[of.categories[n]])
        for kind, of, numbers in parts
        for n in numbers
    ]
