"""Statistics of the study's data set, as in the proposal's table 1."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from reports.results.load import Results
from reports.results.provenance import dataset_name
from reports.tables.references import reference_rows
from reports.tables.table import AXIS, NUMBER, Column, Table, Tabled, shown

COCO_FILE = "coco_proposal.csv"
COCO = "COCO (proposal)"

_FEATURES = {
    "num_images": "images",
    "num_instances": "objects",
    "num_categories": "categories",
    "num_without_objects": "images without objects",
    "objects_per_image": "objects per image, mean",
    "most_objects_per_image": "objects per image, max",
    "num_small": "small objects (< 32² px)",
    "num_medium": "medium objects",
    "num_large": "large objects (≥ 96² px)",
    "object_size": "size of an object's box, √area (px): min, median, max",
    "width": "image width (px): min, median, max",
    "height": "image height (px): min, median, max",
    "image_resolution": "image resolution",
}
"""Entry of a split or of ``COCO_FILE`` -> label, in order."""


def dataset_card(results: Results) -> Tabled:
    """Counts and sizes, a column per split, and the proposal's values for COCO."""
    splits = _splits(results)
    if not splits:
        return Tabled(None, "The records do not describe the data set.")
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
        f"The columns describe {dataset_name(results)} as prepared. {_warnings(splits)}"
        f"{_conversions(splits)}{COCO} "
        "repeats table 1 of Zheng and Li (2023) for orientation; it was not measured here.",
    )


def _warnings(splits: Mapping[str, Mapping[str, Any]]) -> str:
    """What the check of the data found doubtful; "" if there is nothing."""
    lines = _lines(splits, "warnings")
    return f"Warnings of the data check: {lines} " if lines else ""


def _conversions(splits: Mapping[str, Mapping[str, Any]]) -> str:
    """The conversions of unusual images; "" if there are none."""
    lines = _lines(splits, "conversions")
    return f"Some images are converted when they are read: {lines} " if lines else ""


def _lines(splits: Mapping[str, Mapping[str, Any]], key: str) -> str:
    """The lines of an entry of each split, as one text."""
    return " ".join(
        f"{name}: {line}."
        for name, about in splits.items()
        if isinstance(about.get(key), list)
        for line in about[key]
    )


def _splits(results: Results) -> dict[str, dict[str, Any]]:
    """Split -> its description: as prepared, else from the first record that has one."""
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
    """A split with the entries that follow from its other numbers."""
    derived = dict(split)
    if "num_categories" not in derived and source.get("categories"):
        derived["num_categories"] = len(source["categories"])
    images, instances = derived.get("num_images"), derived.get("num_instances")
    if "objects_per_image" not in derived and images and instances is not None:
        derived["objects_per_image"] = instances / images
    return derived


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " / ".join(filter(None, map(_text, value)))
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return ""
    return str(value) if isinstance(value, int) else f"{value:.1f}"
