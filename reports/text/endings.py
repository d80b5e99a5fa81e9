"""Texts about the runs that failed or diverged."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ablations.records.record import DIVERGED, FAILED
from reports.results.load import Results, record_path
from reports.results.states import state_text
from reports.text.sentences import counted


@dataclass(frozen=True)
class Ending:
    """A run that failed or diverged.

    Attributes:
        cell: the cell's id.
        state: for example ``diverged at iteration 37``.
        error: the message in its record.
        files: names and percent-quoted paths of its record and, where there is one, its log.
        evidence: names and values of what is known about a divergence.
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
        name = log.relative_to(results.layout.root).as_posix()
        files = [("record", record_path(record.cell))]
        if log.is_file():
            files.append((name, f"../{quote(name)}"))
        endings.append(
            Ending(
                cell=record.cell,
                state=state_text(cell),
                error=record.error.strip() or "The record has no error message.",
                files=tuple(files),
                evidence=_evidence(record.result.get("divergence"), name.rpartition("/")[0]),
            )
        )
    return endings


def _evidence(divergence: Any, folder: str) -> list[tuple[str, str]]:
    if not isinstance(divergence, dict):
        return []
    images = [
        image.get("file_name")
        for rank in divergence.get("ranks") or ()
        for image in rank.get("images") or ()
    ]
    pairs = [
        ("First bad iteration", divergence.get("iteration")),
        ("Bad values", "; ".join(divergence.get("bad") or ())),
        ("Non-finite gradients", _parameters(divergence.get("bad_gradients"))),
        ("Non-finite weights", _parameters(divergence.get("bad_weights"))),
        ("Images", ", ".join(map(str, images))),
        ("Replay command", divergence.get("replay")),
        ("OUTPUT_DIR in this command", folder if divergence.get("replay") else ""),
    ]
    return [(name, str(text)) for name, text in pairs if text not in (None, "")]


def _parameters(about: dict[str, Any] | None) -> str:
    """For example ``12 parameters, including a.weight, a.bias``; "" for none."""
    if not about or not about.get("count"):
        return ""
    count, first = about["count"], about.get("first") or ()
    including = "" if count == len(first) else "including "
    names = f", {including}{', '.join(first)}" if first else ""
    return f"{counted(count, 'parameter')}{names}"
