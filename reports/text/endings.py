"""How runs ended that did not end well: texts for the report's last section."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ablations.records.record import DIVERGED, FAILED
from reports.results.load import Results, record_path
from reports.results.states import state_text
from reports.text.sentences import counted


@dataclass(frozen=True)
class Ending:
    """What a run that failed or diverged left behind.

    Attributes:
        cell: its id.
        state: how it ended.
        error: what its record says.
        files: names and percent-quoted paths of its record and, where there is one, its log.
        evidence: what is known of a divergence: names and texts.
    """

    cell: str
    state: str
    error: str
    files: tuple[tuple[str, str], ...]
    evidence: list[tuple[str, str]]


def bad_endings(results: Results) -> list[Ending]:
    """Every run that failed or diverged, in the order of the study."""
    endings = []
    for cell in results.cells.to_dict("records"):
        if cell["recorded"] not in (FAILED, DIVERGED):
            continue
        record = results.records[cell["cell"]]
        log = results.layout.cell_log(record.cell)
        name = log.relative_to(results.layout.root)
        files = [("record", record_path(record.cell))]
        if log.is_file():
            files.append((name.as_posix(), f"../{quote(name.as_posix())}"))
        endings.append(
            Ending(
                cell=record.cell,
                state=state_text(cell),
                error=record.error.strip() or "No error is recorded.",
                files=tuple(files),
                evidence=_evidence(record.result.get("divergence"), name.parent.as_posix()),
            )
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
    return f"{counted(count, 'parameter')}, {also}{', '.join(first)}"
