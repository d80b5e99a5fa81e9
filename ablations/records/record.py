"""The record of one cell: its schema, and the only code that reads or writes its JSON.

A record is written once, when its cell has ended. ``result`` holds what the cell's fingerprint
determines: the same fingerprint on the same machine gives the same bytes. ``run`` holds what
differs from run to run: times, hardware, versions.
"""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ablations.storage.reading import shown
from focal_star.io.writing import write_whole

SCHEMA = 2

MOST_LEVELS = 20
"""Lists and objects within one another in a record; those written here have six."""

DONE = "done"
"""The cell was trained to its end and evaluated."""

DIVERGED = "diverged"
"""The loss became NaN or infinite; AP counts as 0."""

FAILED = "failed"
"""The process ended without a result."""

STATUSES = (DONE, DIVERGED, FAILED)


class RecordError(ValueError):
    """A record file that cannot be read; the message names the file and what is wrong."""


@dataclass(frozen=True)
class Record:
    """One cell that has ended.

    Attributes:
        cell: the cell's id, also the stem of its file.
        fingerprint: hexadecimal SHA-256 of all that determines the result.
        identity: the parts of the fingerprint, see :class:`ablations.identity.fingerprint.Identity`.
        setting: axis name -> value (``loss``, ``alpha``, ``gamma``, ...).
        seed: the cell's seed.
        status: ``done``, ``diverged`` or ``failed``.
        error: what went wrong, empty for ``done``.
        command: the command that repeats the cell by hand, from the repository root.
        result: ``metrics`` (name -> percent, None where undefined), ``per_class_AP`` (category
            -> percent), ``curves`` (name -> list, with ``iteration`` as the shared abscissa),
            ``first_loss`` (``predicted`` and ``measured`` loss_cls), ``iterations``,
            ``weights_sha256``, ``error_iteration``, ``divergence``; ``analysis`` (see
            ``focal_star.evaluation.analysis``), ``validation`` (losses on validation images by
            iteration) and ``loss_distribution`` (see the module of that name), each None where
            there is none.
        run: ``train_seconds``, ``eval_seconds``, ``wall_seconds``, ``ms_per_image``,
            ``attempts`` (processes that the cell took), ``disk_bytes``, ``finished`` (UTC,
            ISO 8601), ``commit``, ``snapshot_sha256`` (of the copy of the code that the process was
            started from), ``code_sha256`` (of the sources of focal_star, as the process itself
            reports it), ``environment`` (versions and hardware, name -> text).
        dataset: ``name``, ``sha256`` and, for ``train`` and ``val``, ``num_images``,
            ``num_instances`` and what ``focal_star.data.validation.description`` counts.
    """

    cell: str
    fingerprint: str
    identity: dict[str, Any]
    setting: dict[str, Any]
    seed: int
    status: str
    command: str
    error: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)
    dataset: dict[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as JSON; see :func:`focal_star.io.writing.write_whole`."""
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
    write_whole(path, f"{text}\n".encode())


def save(record: Record, path: Path) -> None:
    """Write a record (see :func:`write_json`)."""
    write_json(path, asdict(record))


def load(path: Path, cell: str | None = None) -> Record:
    """Read a record.

    Args:
        path: the file.
        cell: the cell that it is of; by default the one that the file is named after.

    Raises:
        RecordError: the file is not JSON, not a record, or of another schema.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would never end
            raise ValueError("it is not a regular file")
        raw = path.read_bytes()
        content = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_only_once, parse_constant=_no_constant
        )
        _check_values(content, closely=_is_unusual(raw))
    except RecursionError as error:
        raise RecordError(f"{path}: cannot be read as JSON: nested too deeply") from error
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise RecordError(f"{path}: a record is a JSON object, this is {type(content).__name__}")
    problems = _problems(content, cell or path.stem)
    if problems:
        raise RecordError(f"{path}: not a record: " + "; ".join(problems))
    return Record(**content)


def load_folder(folder: Path) -> tuple[dict[str, Record], list[str]]:
    """Read every record of a folder: (cell id -> record, one line for each file refused)."""
    records, refused = {}, []
    for path in sorted(folder.glob("*.json")):
        try:
            record = load(path)
        except RecordError as error:
            refused.append(str(error))
        else:
            records[record.cell] = record
    return records, refused


def _only_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in content if names.count(name) > 1)
        raise ValueError(f"the key {shown(twice)} is there twice")
    return content


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


_AS_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)


def _is_unusual(raw: bytes) -> bool:
    """Whether a file may hold a whole number of more than 64 bits, or half a character."""
    return b"\\u" in raw or b"0" * 19 in raw.translate(_AS_ZEROS)


def _check_values(value: Any, closely: bool, level: int = 1) -> None:
    """Refuse what would fail only where it is used.

    Args:
        value: as the JSON has it.
        closely: look at every number and text, too; infinite numbers are always seen.
        level: how deep it is.

    Raises:
        ValueError: lists and objects are nested too deeply, a number is not finite or has more
            than 64 bits, a text is none that can be written.
    """
    if isinstance(value, dict):
        values = [*value.values(), *value] if closely else value.values()
    elif isinstance(value, list):
        values = value
    else:
        if closely and isinstance(value, int) and not -_MOST <= value <= _MOST:
            raise ValueError(f"{shown(value)} is too large")
        if closely and isinstance(value, str):
            value.encode()
        return
    if level > MOST_LEVELS:
        raise ValueError(f"nested more than {MOST_LEVELS} levels deep")
    if math.inf in values or -math.inf in values:
        raise ValueError("a number is too large")
    if closely or not _PLAIN.issuperset(map(type, values)):
        for item in values:
            _check_values(item, closely, level + 1)


_MOST = 2**63 - 1
_PLAIN = {bool, float, int, str, type(None)}

_TYPES = {
    "cell": str,
    "fingerprint": str,
    "identity": dict,
    "setting": dict,
    "seed": int,
    "status": str,
    "command": str,
    "error": str,
    "result": dict,
    "run": dict,
    "dataset": dict,
    "schema": int,
}


def _problems(content: dict[str, Any], stem: str) -> list[str]:
    problems = [f"{name} is missing" for name in _TYPES if name not in content]
    problems += [f"{shown(name)[1:-1]} is unknown" for name in content if name not in _TYPES]
    for name, kind in _TYPES.items():
        if name in content and not isinstance(content[name], kind):
            problems.append(f"{name} is {shown(content[name])}, not of type {kind.__name__}")
    if isinstance(content.get("seed"), bool):
        problems.append(f"seed is {content['seed']}, not of type int")
    if not problems:
        if content["schema"] != SCHEMA:
            problems.append(f"schema is {content['schema']}, this version reads {SCHEMA}")
        if content["status"] not in STATUSES:
            problems.append(
                f"status is {shown(content['status'])}, not one of {', '.join(STATUSES)}"
            )
        if content["cell"] != stem:
            problems.append(f"cell is {shown(content['cell'])}, and the file is of {stem!r}")
        metrics = content["result"].get("metrics")
        if content["status"] == DONE and not _are_metrics(metrics):
            problems.append(f"status is done, and result.metrics is {shown(metrics)}; AP is needed")
        problems += [
            f"{part}.{shown(name)[1:-1]} is {shown(content[part][name])}, not {what}"
            for part, name, is_valid, what in _parts(content)
            if not is_valid(content[part][name])
        ]
    return problems


def _parts(content: dict[str, Any]) -> Iterator[tuple[str, str, Callable[[Any], bool], str]]:
    """What is known of the values within: (part, name, test, what it tests in words)."""
    for name in content["setting"]:
        yield "setting", name, _is_value, "a number or a name"
    for part, about in _WITHIN.items():
        for name in about.keys() & content[part].keys():
            yield part, name, *about[name]


def _is_number(value: Any) -> bool:
    return value is None or type(value) in (int, float)


def _is_value(value: Any) -> bool:
    return _is_number(value) or isinstance(value, str)


def _is_mapping(value: Any) -> bool:
    return value is None or isinstance(value, dict)


def _are_numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_number, value.values()))


def _are_curves(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(curve, list) and {float, int, type(None)}.issuperset(map(type, curve))
        for curve in value.values()
    )


def _are_metrics(metrics: Any) -> bool:
    """A mapping of names to percent or None, with AP."""
    return _are_numbers(metrics) and "AP" in metrics


_NUMBER = (_is_number, "a number")
_NUMBERS = (_are_numbers, "names and their numbers")
_CURVES = (_are_curves, "names and their lists of numbers")
_MAPPING = (_is_mapping, "an object")
_WITHIN = {
    "result": {
        "per_class_AP": _NUMBERS,
        "first_loss": _NUMBERS,
        "curves": _CURVES,
        "iterations": _NUMBER,
        "error_iteration": _NUMBER,
        "divergence": _MAPPING,
        "analysis": _MAPPING,
        "validation": (lambda v: v is None or _are_curves(v), "names and their lists of numbers"),
        "loss_distribution": _MAPPING,
    },
    "run": {
        "train_seconds": _NUMBER,
        "eval_seconds": _NUMBER,
        "wall_seconds": _NUMBER,
        "ms_per_image": _NUMBER,
        "disk_bytes": _NUMBER,
        "environment": _MAPPING,
    },
}
