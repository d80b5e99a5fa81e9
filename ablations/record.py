"""The record of one cell: its schema, and the only code that reads or writes its JSON.

A record is written once, when its cell has ended. ``result`` holds what the cell's fingerprint
determines: the same fingerprint on the same machine gives the same bytes. ``run`` holds what
differs from run to run: times, hardware, versions.
"""

import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

SCHEMA = 2

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
        identity: the parts of the fingerprint, see :class:`ablations.fingerprint.Identity`.
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
            ISO 8601), ``commit``, ``environment`` (versions and hardware, name -> text).
        dataset: ``name``, ``sha256`` and, for ``train`` and ``val``, ``num_images``,
            ``num_instances`` and what ``focal_star.data.description`` counts.
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
    """Write ``content`` as JSON; see :func:`write_whole`."""
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
    write_whole(path, f"{text}\n".encode())


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, whole.

    Raises:
        OSError: names ``path``, and why it cannot be written; what stood there stands.
    """
    try:
        _write_whole(path, content)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _write_whole(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def save(record: Record, path: Path) -> None:
    """Write a record (see :func:`write_json`)."""
    write_json(path, asdict(record))


def load(path: Path) -> Record:
    """Read a record.

    Raises:
        RecordError: the file is not JSON, not a record, or of another schema.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise RecordError(f"{path}: a record is a JSON object, this is {type(content).__name__}")
    problems = _problems(content, path.stem)
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
    problems += [f"{name} is unknown" for name in content if name not in _TYPES]
    for name, kind in _TYPES.items():
        if name in content and not isinstance(content[name], kind):
            problems.append(f"{name} is {content[name]!r}, not of type {kind.__name__}")
    if isinstance(content.get("seed"), bool):
        problems.append(f"seed is {content['seed']}, not of type int")
    if not problems:
        if content["schema"] != SCHEMA:
            problems.append(f"schema is {content['schema']}, this version reads {SCHEMA}")
        if content["status"] not in STATUSES:
            problems.append(f"status is {content['status']!r}, not one of {', '.join(STATUSES)}")
        if content["cell"] != stem:
            problems.append(f"cell is {content['cell']!r}, and the file is of {stem!r}")
        metrics = content["result"].get("metrics")
        if content["status"] == DONE and not _are_metrics(metrics):
            problems.append(f"status is done, and result.metrics is {metrics!r}; AP is needed")
    return problems


def _are_metrics(metrics: Any) -> bool:
    """A mapping of names to percent or None, with AP."""
    return (
        isinstance(metrics, dict)
        and "AP" in metrics
        and all(v is None or type(v) in (int, float) for v in metrics.values())
    )
