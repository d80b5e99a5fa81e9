"""Finds what two studies differ in besides their results: data, config, code, versions, machine."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ablations.identity.fingerprint import canonical, is_without_effect
from ablations.records.record import Record
from ablations.study.axes import AXES
from ablations.study.study import schedule_name
from reports.compare.rows import Moved
from reports.results import provenance
from reports.results.differences import DEFAULT
from reports.results.load import Results, part
from reports.results.states import PARTS
from reports.results.study_rows import RowKey, rows_of
from reports.text.sentences import seeds

NOT_RECORDED = "not recorded"

HASH_DIGITS = 12
MAX_LENGTH = 60
"""The maximum number of characters of a value that is shown."""

IDENTITY = ("numerics", "loss", "weights", "processes")
"""The parts of a run's identity that have a line each; config and data set have their own."""

SOURCES = {"commit": "commit", "code_sha256": "code of focal_star"}
"""Entry of a record's ``run`` -> its name."""

OF_ROWS = tuple(axis.key for axis in AXES.values())
"""The config keys that rows set themselves."""


@dataclass(frozen=True)
class Other:
    """A difference between the two studies.

    Attributes:
        what: what differs.
        a: its value in A.
        b: its value in B.
        rows: the number of compared rows that have this difference; 0 if it is one of the studies.
    """

    what: str
    a: str
    b: str
    rows: int = 0


def others(a: Results, b: Results, moved: list[Moved]) -> list[Other]:
    """What differs between the studies, and between the compared runs of their rows."""
    differences = [Other(*difference) for difference in _differing(_of_study(a), _of_study(b))]
    counts: dict[tuple[str, str, str], int] = {}
    for row in moved:
        for difference in dict.fromkeys(_of_row(a, b, row)):
            counts[difference] = counts.get(difference, 0) + 1
    order = {name: number for number, name in enumerate(_ORDER)}
    ordered = sorted(counts, key=lambda key: (order.get(key[0], len(order)), key))
    differences += [Other(*key, rows=counts[key]) for key in ordered]
    return differences + _chosen(a, b)


def _of_study(results: Results) -> dict[str, str]:
    return {
        "study": results.study.name,
        "schedule": schedule_name(results.study.schedule),
        "seeds": seeds(results),
    }


def _chosen(a: Results, b: Results) -> list[Other]:
    """The tuned rows for which the studies chose different settings."""
    before, after = rows_of(a), rows_of(b)
    common: list[RowKey] = [key for key in before if key in after]
    return [
        Other(
            f"setting of {before[key].label} in table {before[key].tables[0]}",
            before[key].text or NOT_RECORDED,
            after[key].text or NOT_RECORDED,
            1,
        )
        for key in common
        if before[key].text != after[key].text
    ]


def _of_row(a: Results, b: Results, row: Moved) -> Iterator[tuple[str, str, str]]:
    """The differences between the runs of a row: of equal seeds, else of the first ones."""
    before, after = (
        [results.records[cell] for cell in frame["cell"] if cell in results.records]
        for results, frame in zip((a, b), row.frames, strict=True)
    )
    after_by_seed = {record.seed: record for record in after}
    pairs = [
        (record, after_by_seed[record.seed]) for record in before if record.seed in after_by_seed
    ]
    set_by_row = set() if row.a.setting == row.b.setting else set(OF_ROWS)
    for one, other in pairs or list(zip(before[:1], after[:1], strict=False)):
        for what, of_a, of_b in _differing(_facts(one), _facts(other)):
            if what.removeprefix(_CONFIG) not in set_by_row:
                yield what, of_a, of_b


_CONFIG = "config key "
_DATA, _ITERATIONS = "data set", "iterations"
_ORDER = (_DATA, _ITERATIONS, *(PARTS.get(part, part) for part in IDENTITY), *SOURCES.values())


def _facts(record: Record) -> dict[str, str]:
    """What a record says about how its run was made: name -> text, shortened to be shown."""
    name, sha256 = (_text(record.dataset.get(entry)) for entry in ("name", "sha256"))
    facts = {_DATA: f"{name} {sha256[:HASH_DIGITS]}".strip()}
    facts[_ITERATIONS] = _text(record.result.get("iterations"))
    for entry in IDENTITY:
        facts[PARTS.get(entry, entry)] = _text(record.identity.get(entry))[:HASH_DIGITS]
    for entry, label in SOURCES.items():
        facts[label] = _text(record.run.get(entry))[:HASH_DIGITS]
    values = part(record.run, "config").get("values")
    if isinstance(values, dict):
        for key, value in values.items():
            if not is_without_effect(key):
                facts[f"{_CONFIG}{key}"] = canonical(value)
    else:
        facts["config"] = NOT_RECORDED
    for library, version in part(record.run, "environment").items():
        facts[library] = _text(version)
    return facts


def _differing(a: Mapping[str, str], b: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    configs = "config" not in a and "config" not in b
    for what in dict.fromkeys((*a, *b)):
        of_key = what.startswith(_CONFIG)
        if of_key and not configs:
            continue  # one line says that a config is unknown
        absent = DEFAULT if of_key else NOT_RECORDED
        if what == "config":
            of_a, of_b = (side.get(what, "recorded") for side in (a, b))
        else:
            of_a, of_b = (side.get(what) or absent for side in (a, b))
        if of_a != of_b:
            yield what, _short(of_a), _short(of_b)


def _text(value: Any) -> str:
    return "" if value in (None, "") else str(value)


def _short(text: str) -> str:
    return text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 1]}…"


def described(results: Results) -> str:
    """The data set, the images, the schedule, the machine and the commit of a study's records."""
    return provenance.caption(results, results.records_of(results.frame))
