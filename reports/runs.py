"""How a report's runs were made and how they ended: texts for its last sections."""

import math
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from ablations.record import DIVERGED, FAILED, Record
from reports import provenance, sentences
from reports.load import Results
from reports.states import state_text
from reports.tables import record_path

_COLUMNS = {
    "iterations": ".0f",
    "predicted_loss": ".3g",
    "measured_loss": ".3g",
    "train_seconds": ".1f",
    "eval_seconds": ".1f",
    "wall_seconds": ".1f",
}
"""Numbers in the table of runs -> format."""


def facts(results: Results, records: Sequence[Record]) -> list[tuple[str, str]]:
    """How the runs were made: names and texts."""
    found = [
        ("Config", f"projects/focal_star/configs/{results.study.config}"),
        ("Schedule", provenance.schedule(records)),
        ("Hardware", provenance.hardware(records)),
        ("Commit", provenance.commits(records)),
        ("Seeds", sentences.seeds(results)),
        ("Finished", _span(record.run.get("finished") for record in records)),
    ]
    times = results.cells["wall_seconds"].dropna()
    if len(times):
        total, least, most, middle = map(
            sentences.duration, (times.sum(), times.min(), times.max(), times.median())
        )
        found.append(
            (
                "Time",
                f"{total} in all over {sentences.counted(len(times), 'cell')}; "
                f"one takes {least} to {most}, median {middle}",
            )
        )
    return [(name, text) for name, text in found if text]


def table_of_runs(results: Results) -> list[dict[str, str]]:
    """A line per cell, all texts."""
    lines = []
    for cell in results.cells.to_dict("records"):
        record = results.records.get(cell["cell"])
        line = {
            "cell": cell["cell"],
            "record": record_path(cell["cell"]) if record else "",
            "state": state_text(cell) or cell["state"],
            "finished": str((record.run.get("finished") if record else "") or ""),
        }
        for column, digits in _COLUMNS.items():
            line[column] = "" if math.isnan(cell[column]) else format(cell[column], digits)
        lines.append(line)
    return lines


def bad_endings(results: Results) -> list[dict[str, Any]]:
    """What every run that failed or diverged left behind."""
    endings = []
    for cell in results.cells.to_dict("records"):
        if cell["recorded"] not in (FAILED, DIVERGED):
            continue
        record = results.records[cell["cell"]]
        log = results.layout.cell_log(record.cell).relative_to(results.layout.root)
        endings.append(
            {
                "cell": record.cell,
                "state": state_text(cell),
                "record": record_path(record.cell),
                "error": record.error.strip() or "No error is recorded.",
                "log": log.as_posix(),
                "log_path": f"../{quote(log.as_posix())}",
                "evidence": _evidence(record.result.get("divergence"), log.parent.as_posix()),
            }
        )
    return endings


def _evidence(divergence: Any, folder: str) -> list[tuple[str, str]]:
    """What is known of a divergence: names and texts."""
    if not isinstance(divergence, dict):
        return []
    images = [
        image.get("file_name") for rank in divergence.get("ranks", ()) for image in rank["images"]
    ]
    found = [
        ("First bad iteration", divergence.get("iteration")),
        ("What was bad", "; ".join(divergence.get("bad", ()))),
        ("Gradients not finite", _named(divergence.get("bad_gradients"))),
        ("Weights not finite", _named(divergence.get("bad_weights"))),
        ("Images", ", ".join(map(str, images))),
        ("Command that replays it", divergence.get("replay")),
        ("OUTPUT_DIR there", folder if divergence.get("replay") else ""),
    ]
    return [(name, str(text)) for name, text in found if text not in (None, "")]


def _named(parameters: dict[str, Any] | None) -> str:
    """For example ``12 parameters, among them a.weight, a.bias``; "" for none."""
    if not parameters or not parameters["count"]:
        return ""
    count, first = parameters["count"], parameters["first"]
    also = "" if count == len(first) else "among them "
    return f"{sentences.counted(count, 'parameter')}, {also}{', '.join(first)}"


def _span(moments: Iterable[Any]) -> str:
    """The first and the last of some moments in ISO 8601, which sorts as text."""
    known = sorted(moment for moment in moments if isinstance(moment, str) and moment)
    return " to ".join(dict.fromkeys((known[0], known[-1]))) if known else ""
