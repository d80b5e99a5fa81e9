"""Published results: the files of ``ablations/reference`` and the proposal's table 2."""

import csv
from pathlib import Path

import pandas as pd

import ablations
from reports.results.labels import METRICS
from reports.tables.table import AXIS, NUMBER, TEXT, Column, Table, Tabled, shown

FOLDER = Path(ablations.__file__).parent / "reference"
BASELINE_FILE = "focal_star_proposal_baseline.csv"
OTHERS_FILE = "retinanet_r50_fpn_1x.csv"

_AP = [metric for metric, label in METRICS.items() if label.in_percent]


def reference_rows(name: str) -> list[dict[str, str]]:
    """The lines of a file of published numbers: column -> text as printed."""
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def baselines() -> Tabled:
    """The proposal's table 2 and the results that two codebases publish for the same model."""
    rows = [
        {"implementation": "the proposal's training", "source": "proposal of FL*, table 2"} | row
        for row in reference_rows(BASELINE_FILE)
    ] + reference_rows(OTHERS_FILE)
    frame = pd.DataFrame(rows, dtype=object).fillna("")
    columns = [Column("", "trained by", AXIS, frame["implementation"].to_list())]
    columns += [Column("", METRICS[m].header, NUMBER, shown(frame[m])) for m in _AP]
    columns.append(Column("", "source", TEXT, frame["source"].to_list()))
    columns.insert(1, Column("", "model", TEXT, frame["model"].to_list()))
    return Tabled(
        Table(columns, frame[["implementation", "model", *_AP, "source"]]),
        "All models are RetinaNets with ResNet-50-FPN, trained on COCO for about 12 epochs with "
        "the focal loss and evaluated on val2017. They differ in implementation and schedule; "
        "none of them uses FL*.",
    )
