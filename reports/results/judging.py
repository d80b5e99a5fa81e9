"""Replaces the results of tuned rows by those on the reporting half of the images."""

from collections.abc import Mapping

import msgspec

from ablations.records.record import DONE, Record
from ablations.storage.layout import Layout
from ablations.study.study import Study
from ablations.tuning import halves


def judged(study: Study, layout: Layout, records: Mapping[str, Record]) -> dict[str, Record]:
    """Cell id -> its record with metrics and analysis of the reporting half.

    Cells without them are left out: the state of such a cell is ``UNJUDGED``.
    """
    judged_records = {}
    for cell in study.judged:
        record = records.get(cell.id)
        if record is None or record.status != DONE:
            continue
        of_halves = halves.load(layout, record, study.selection_seed, whole=True)
        if of_halves is None:
            continue
        half = of_halves.reporting
        result = record.result | {
            "metrics": half.metrics,
            "per_class_AP": half.per_class_AP,
            "analysis": half.analysis,
        }
        val = record.dataset.get("val")
        about = (val if isinstance(val, dict) else {}) | {"num_images": half.images}
        judged_records[cell.id] = msgspec.structs.replace(
            record, result=result, dataset=record.dataset | {"val": about}
        )
    return judged_records
