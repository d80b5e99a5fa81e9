"""The record of one cell: its schema, and the only code that reads or writes its JSON.

A record is written once, when its cell has ended. ``result`` holds what the cell's fingerprint
determines: the same fingerprint on the same machine gives the same bytes. ``run`` holds what
differs from run to run: times, hardware, versions.
"""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from ablations.storage.json_files import write_json
from ablations.storage.schemas import check
from focal_star.io.json_text import MAX_LEVELS, is_too_deep, without_duplicates
from focal_star.io.quoting import shown

SCHEMA: Final = 2

DONE = "done"
"""The cell was trained to its end and evaluated."""

DIVERGED = "diverged"
"""The loss became NaN or infinite; AP counts as 0."""

FAILED = "failed"
"""The process ended without a result."""

MAX_DIGITS = 20
"""The maximum number of characters of a whole number of 64 bits, with its sign."""

_MANY_DIGITS = re.compile(rb"(?<![\d.])\d{19}")
"""A whole number of more than 64 bits has at least so many digits."""

Number = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | float | None


class RecordError(ValueError):
    """A record file that cannot be read; the message names the file and what is wrong."""


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One cell that has ended.

    Attributes:
        cell: the cell's id, also the stem of its file.
        fingerprint: hexadecimal SHA-256 of everything that determines the result.
        identity: the parts of the fingerprint, see
            :class:`ablations.identity.fingerprint.Identity`.
        setting: axis name -> value (``loss``, ``alpha``, ``gamma``, ...).
        seed: the cell's seed.
        status: ``done``, ``diverged`` or ``failed``.
        error: what went wrong, empty for ``done``.
        command: the command that repeats the cell by hand, from the repository root.
        result: ``metrics`` (name -> percent, None where undefined), ``per_class_AP`` (category
            -> percent), ``curves`` (name -> list, with ``iteration`` as the shared abscissa),
            ``first_loss`` (``predicted`` and ``measured`` loss_cls), ``iterations``,
            ``weights_sha256``, ``error_iteration``, ``divergence``; ``loss`` (its name, code,
            options and curve, and its values at some p_t); ``analysis`` (see
            ``focal_star.evaluation.analysis``), ``validation`` (losses on validation images by
            iteration), ``loss_distribution`` (see the module of that name) and
            ``candidates_per_image`` (the mean number of boxes that enter NMS), each None if it was
            not recorded.
        run: ``train_seconds``, ``eval_seconds``, ``wall_seconds``, ``ms_per_image``,
            ``attempts`` (the number of processes), ``disk_bytes``, ``finished`` (UTC, ISO 8601),
            ``commit``, ``snapshot_sha256`` (the snapshot of the code that was run), ``code_sha256``
            (the sources of focal_star, as the process reports it), ``config`` (``values``: the keys
            without their defaults; ``follows``: derived key -> its sources), ``config_changes``,
            ``environment`` (versions and hardware, name -> text).
        dataset: ``name``, ``sha256`` and, for ``train`` and ``val``, ``num_images``,
            ``num_instances`` and what ``focal_star.data.validation.description`` counts.
    """

    cell: str
    fingerprint: str
    identity: dict[str, Any]
    setting: dict[str, Number | str]
    seed: int
    status: Literal["done", "diverged", "failed"]
    command: str
    error: str = ""
    result: dict[str, Any] = {}
    run: dict[str, Any] = {}
    dataset: dict[str, Any] = {}
    schema: Literal[2] = SCHEMA


class _Result(msgspec.Struct):
    """The keys of a result that are checked; a result may have more."""

    metrics: dict[str, Number] = {}
    per_class_AP: dict[str, Number] = {}
    first_loss: dict[str, Number] = {}
    curves: dict[str, list[Number]] = {}
    iterations: Number = None
    error_iteration: Number = None
    divergence: dict[str, Any] | None = None
    analysis: dict[str, Any] | None = None
    validation: dict[str, list[Number]] | None = None
    loss_distribution: dict[str, Any] | None = None
    loss: dict[str, Any] | None = None
    candidates_per_image: Number = None


class _Run(msgspec.Struct):
    """The keys of ``run`` that are checked; it may have more."""

    train_seconds: Number = None
    eval_seconds: Number = None
    wall_seconds: Number = None
    ms_per_image: Number = None
    disk_bytes: Number = None
    config: dict[str, Any] | None = None
    config_changes: list[dict[str, Any]] | None = None
    environment: dict[str, Any] | None = None


def save(record: Record, path: Path) -> None:
    """Write a record."""
    write_json(path, msgspec.structs.asdict(record))


def load(path: Path, cell: str | None = None) -> Record:
    """Read a record.

    Args:
        path: the file.
        cell: the record's cell; by default the file's stem.

    Raises:
        RecordError: the file is not JSON, has a key twice in an object, a whole number of more than
            64 bits or more than ``MAX_LEVELS`` levels, is not a record, or has another schema.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would never end
            raise ValueError("it is not a regular file")
        content = _decoded(path.read_bytes())
    except RecursionError as error:
        raise RecordError(f"{path}: cannot be read as JSON: nested too deeply") from error
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise RecordError(f"{path}: a record is a JSON object, this is {type(content).__name__}")
    try:
        record = msgspec.convert(content, Record)
        msgspec.convert(record.result, _Result)
        msgspec.convert(record.run, _Run)
        problems = [
            f"{name} is missing" for name in Record.__struct_fields__ if name not in content
        ]
    except msgspec.ValidationError:
        problems = _problems(content)
    if not problems and record.cell != (cell or path.stem):
        problems.append(f"cell is {shown(record.cell)}, but the file is of {cell or path.stem!r}")
    if not problems and record.status == DONE and "AP" not in record.result.get("metrics", {}):
        problems.append("status is done, but result.metrics has no AP")
    if problems:
        raise RecordError(f"{path}: not a record: " + "; ".join(problems))
    return record


def load_folder(folder: Path) -> tuple[dict[str, Record], list[str]]:
    """Read every record of a folder: (cell id -> record, one line for each refused file)."""
    records, refused = {}, []
    for path in sorted(folder.glob("*.json")):
        try:
            record = load(path)
        except RecordError as error:
            refused.append(str(error))
        else:
            records[record.cell] = record
    return records, refused


def _decoded(data: bytes) -> Any:
    """The content of a JSON file, within the limits that :func:`load` names.

    Raises:
        ValueError: it is not strict JSON, or is beyond a limit.
    """
    content = msgspec.json.decode(data)  # refuses NaN, infinite numbers and other encodings
    if isinstance(content, dict) and is_too_deep(content):
        raise ValueError(f"nested more than {MAX_LEVELS} levels deep")
    parse_int = _check_size if _MANY_DIGITS.search(data) else None
    json.loads(data, object_pairs_hook=without_duplicates, parse_int=parse_int)
    return content


def _check_size(number: str) -> None:
    if len(number) > MAX_DIGITS or not -(2**63) <= int(number) < 2**63:
        text = f"{number[:MAX_DIGITS]}..." if len(number) > MAX_DIGITS else number
        raise ValueError(f"the whole number {text} has more than 64 bits")


def _problems(content: dict[str, Any]) -> list[str]:
    """One line for each key that does not fit the schema."""
    usable, problems = check(content, Record)
    problems += [f"{key} is missing" for key in Record.__struct_fields__ if key not in content]
    for part, schema in (("result", _Result), ("run", _Run)):
        known = {k: v for k, v in usable.get(part, {}).items() if k in schema.__struct_fields__}
        problems += check(known, schema, f"{part}.")[1]
    return list(dict.fromkeys(problems))
