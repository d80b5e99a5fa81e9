"""The data set's card: the proposal's table 1, of the data that the study is on."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from reports.results.load import Results
from reports.results.provenance import dataset_name
from reports.tables.references import reference_rows
from reports.tables.table import AXIS, NUMBER, Column, Table, Tabled, shown

COCO_FILE = "coco_proposal.csv"
COCO = "COCO, by the proposal"

_FEATURES = {
    "num_images": "images",
    "num_instances": "objects",
    "num_categories": "categories",
    "objects_per_image": "objects an image, mean",
    "most_objects_per_image": "objects an image, most",
    "num_small": "small objects (under 32² px)",
    "num_medium": "medium objects",
    "num_large": "large objects (96² px and over)",
    "width": "width of an image (px): least, median, most",
    "height": "height of an image (px): least, median, most",
    "image_resolution": "image resolution",
}
"""Entry of a split, or of ``COCO_FILE`` -> what it is, in order."""


def dataset_card(results: Results) -> Tabled:
    """What is in the data set, a column per split, and what the proposal says of COCO."""
    splits = _splits(results)
    if not splits:
        return Tabled(None, "Nothing is known of what is in the data set.")
    columns = {name: [_text(about.get(key)) for key in _FEATURES] for name, about in splits.items()}
    of_coco = {row["key"]: row["value"] for row in reference_rows(COCO_FILE)}
    columns[COCO] = [of_coco.get(key, "") for key in _FEATURES]
    frame = pd.DataFrame({"feature": list(_FEATURES.values())} | columns, dtype=object)
    frame = frame[(frame[list(columns)] != "").any(axis=1)].reset_index(drop=True)
    return Tabled(
        Table(
            [
                Column("", "feature", AXIS, frame["feature"].to_list()),
                *(Column("", name, NUMBER, shown(frame[name])) for name in columns),
            ],
            frame,
        ),
        f"{dataset_name(results)}, as it was prepared. {_conversions(splits)}{COCO}: for "
        "orientation, table 1 of the proposal of FL*, as printed there; nothing of it was measured "
        "here.",
    )


def _conversions(splits: Mapping[str, Mapping[str, Any]]) -> str:
    """How unusual images were read, in sentences; "" where there are none."""
    lines = [
        f"{name}: {line}."
        for name, about in splits.items()
        if isinstance(about.get("conversions"), list)
        for line in about["conversions"]
    ]
    return "Images that are converted when they are read: " + " ".join(lines) + " " if lines else ""


def _splits(results: Results) -> dict[str, Mapping[str, Any]]:
    """Split -> what is known of it, as prepared, else as the first record says."""
    sources = [results.prepared.dataset] if results.prepared else []
    sources += [record.dataset for record in results.records.values()]
    for source in sources:
        splits = {
            name: _with_derived(source, source[name])
            for name in ("train", "val")
            if isinstance(source.get(name), Mapping)
        }
        if splits:
            return splits
    return {}


def _with_derived(source: Mapping[str, Any], split: Mapping[str, Any]) -> dict[str, Any]:
    """A split with what follows from its other numbers, where it does not say so itself."""
    found = dict(split)
    if "num_categories" not in found and source.get("categories"):
        found["num_categories"] = len(source["categories"])
    images, instances = found.get("num_images"), found.get("num_instances")
    if "objects_per_image" not in found and images and instances is not None:
        found["objects_per_image"] = instances / images
    return found


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " / ".join(filter(None, map(_text, value)))
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return ""
    return str(value) if isinstance(value, int) else f"{value:.1f}"
