"""Explains a study whose rows are all at the floor: what it has learnt, why so little, and what to
change.
"""

from collections.abc import Sequence

import pandas as pd

from ablations.study.grid import Grid
from reports.results.labels import MAIN_METRIC, METRICS, one_decimal
from reports.results.load import Results, part
from reports.results.provenance import dataset_name, images_per_batch, training_images
from reports.statistics.contenders import number_at
from reports.statistics.learning_floor import LEARNING_FLOOR_AP
from reports.text.sentences import listed

EPOCHS_1X = 12.0
"""Epochs of the schedule 1x: 90,000 iterations of 16 images of COCO (arXiv:1708.02002)."""

MIN_LOCATIONS = 2.0
"""The minimum width of an object in strides of the finest level of the pyramid."""

STRIDE = 8
"""The stride of P3, the finest level of RetinaNet (arXiv:1708.02002, section 4), in px."""


def not_learnt(results: Results, grid: Grid, names: Sequence[str], highest: float) -> list[str]:
    """The answer for a table at the floor: result, what was learnt, why so little, what to change.

    Args:
        results: the study with its records.
        grid: the table.
        names: the names of the table's rows.
        highest: the highest mean AP of any row.
    """
    frame = results.of_grid(grid)
    means = frame.groupby("row", sort=True)[[MAIN_METRIC, "AP50"]].mean()
    best = means[MAIN_METRIC].idxmax()
    verdict = (
        f"No row of table {grid.label} has learnt {dataset_name(results)}, so the losses cannot be "
        f"compared: the rows have {one_decimal(means[MAIN_METRIC].min())} to "
        f"{one_decimal(highest)} {MAIN_METRIC}, below {LEARNING_FLOOR_AP:g}, and none differs "
        f"significantly by {results.study.equivalence_margin:g} {MAIN_METRIC}."
    )
    learnt = [f"{one_decimal(highest)} {MAIN_METRIC}"]
    learnt.append(f"{one_decimal(means['AP50'][best])} {METRICS['AP50'].header}")
    recalls = [number_at(record, "analysis", "recall", "all") for record in
               results.ended_records_of(frame[frame["row"] == best])]  # fmt: skip
    recall = pd.Series(recalls, dtype=float).mean()
    if pd.notna(recall):
        learnt.append(f"a recall of {100 * recall:.0f} % at IoU 0.5")
    facts = _facts(results, frame)
    lines = [f"Learnt: the best row, {names[int(best)]}, has {listed(learnt)}."]
    if why := _why(facts):
        lines.append(f"Why: {why}.")
    return [verdict, *lines, f"Change: {_change(facts)}."]


def _facts(results: Results, frame: pd.DataFrame) -> dict[str, float]:
    """``epochs``, ``images``, ``skipped`` (those that training does not read), ``short_edge`` and
    ``object`` (median, px at the input), if known."""
    facts: dict[str, float] = {}
    records = results.ended_records_of(frame)
    config = results.config
    train = part(records[0].dataset, "train") if records else {}
    if not train:
        return facts
    images, skipped = training_images(results, records[0])
    batch = images_per_batch(results, records[0].identity.get("processes") or 1)
    iterations = frame["iterations"].dropna()
    if images and batch and len(iterations):
        epochs = float(iterations.median()) * batch / images
        facts |= {"images": images, "skipped": skipped, "epochs": epochs}
    edge, sizes = config.get("INPUT.SHORT_EDGE"), train.get("object_size")
    widths, heights = train.get("width"), train.get("height")
    if edge and sizes and widths and heights:
        facts["short_edge"] = edge
        facts["object"] = sizes[1] * edge / min(widths[1], heights[1])
    return facts


def _why(facts: dict[str, float]) -> str:
    parts = []
    if "object" in facts:
        parts.append(
            f"the median object is {facts['object']:.0f} px wide at a short edge of "
            f"{facts['short_edge']:.0f} px, {facts['object'] / STRIDE:.1f} strides of the finest "
            "level"
        )
    if "epochs" in facts:
        with_objects = " with objects" if facts["skipped"] else ""
        parts.append(
            f"each run trained for {facts['epochs']:.1f} epochs of {facts['images']:.0f} images"
            f"{with_objects}, "
            f"and the focal loss paper trains for {EPOCHS_1X:g} epochs"
        )
    return "; ".join(parts)


def _change(facts: dict[str, float]) -> str:
    """The change that the facts suggest."""
    parts = []
    if facts.get("object", STRIDE * MIN_LOCATIONS) < STRIDE * MIN_LOCATIONS:
        larger = facts["short_edge"] * STRIDE * MIN_LOCATIONS / facts["object"]
        parts.append(
            f"a short edge of at least {larger:.0f} px (INPUT.SHORT_EDGE), at which the median "
            f"object is {STRIDE * MIN_LOCATIONS:.0f} px wide"
        )
    if facts.get("epochs", EPOCHS_1X) < EPOCHS_1X:
        parts.append(f"a longer schedule, of at least {EPOCHS_1X:g} epochs")
    if not parts:
        parts.append("the annotations (make check), the anchors (make doctor) or the initial "
                     "weights")  # fmt: skip
        if facts.keys() >= {"object", "epochs"}:
            parts.append("object size and number of epochs are not the cause")
    return "; ".join(parts)
