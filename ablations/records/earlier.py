"""Sets training runs aside that do not belong to the requested fingerprint.

Nothing that was trained is deleted. A cell's folder or record of another fingerprint is moved to
``earlier/<cell>/<start of that fingerprint>/``, the folder as ``cell`` and the record as
``record.json``, and moved back when that fingerprint is requested again. You may delete
``earlier/``, or a part of it, at any time.
"""

import errno
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ablations.records.record import Record, RecordError, load
from ablations.storage.json_files import read_object, write_json
from ablations.storage.layout import FINGERPRINT, Layout

FOLDER, RECORD = "cell", "record.json"
UNKNOWN = "unknown"
NAME_DIGITS = 12


def mark_in(folder: Path) -> dict[str, Any]:
    """The mark of a cell's folder, see :func:`ablations.runner.job.mark_of`; {} if it has none."""
    content = read_object(folder / FINGERPRINT)
    return content if isinstance(content.get("fingerprint"), str) else {}


def switch(layout: Layout, cell_id: str, fingerprint: str) -> bool:
    """Make a cell's folder and record those of this fingerprint; the caller holds the cell's lock.

    A folder of another fingerprint is set aside. The folder of this fingerprint is moved back if it
    was set aside. A record of another fingerprint stays until this fingerprint has a record.

    Returns:
        Whether a record of this fingerprint was moved back.

    Raises:
        OSError: something cannot be moved; nothing is lost.
    """
    folder, record = layout.cell(cell_id), layout.record(cell_id)
    if _holds_training(folder) and mark_in(folder).get("fingerprint") != fingerprint:
        set_aside(layout, cell_id)
    stored_folder = _find(layout, cell_id, fingerprint, FOLDER)
    if stored_folder and not _holds_training(folder):
        if folder.exists():
            _move(folder, _free(layout, cell_id, UNKNOWN, FOLDER))
        _move(stored_folder, folder)
    stored_record = _find(layout, cell_id, fingerprint, RECORD)
    came_back = False
    if stored_record and keep_record(layout, cell_id, fingerprint):
        _move(stored_record, record)
        came_back = True
    _remove_empty(layout, cell_id)
    return came_back


def set_aside(layout: Layout, cell_id: str, name: str = "") -> Path:
    """Move a cell's folder out of the way; return its new path.

    Args:
        layout: the study's files.
        cell_id: the cell, whose lock the caller holds.
        name: its new name; by default the start of the fingerprint in the folder.
    """
    folder = layout.cell(cell_id)
    name = name or mark_in(folder).get("fingerprint", "")[:NAME_DIGITS] or UNKNOWN
    target = _free(layout, cell_id, name, FOLDER)
    _move(folder, target)
    return target


def disown(layout: Layout, cell_id: str) -> None:
    """Make a cell's folder belong to no fingerprint, so that it is never moved back."""
    mark = mark_in(layout.cell(cell_id))
    content = {"was_to_be": mark.get("fingerprint", "")} | mark | {"fingerprint": ""}
    write_json(layout.cell_fingerprint(cell_id), content)


def keep_record(layout: Layout, cell_id: str, fingerprint: str) -> bool:
    """Set a cell's record aside if it has another fingerprint; return whether its path is free."""
    path = layout.record(cell_id)
    recorded = _fingerprint_of_record(path)
    if recorded == fingerprint:
        return False
    if path.exists():
        _move(path, _free(layout, cell_id, recorded[:NAME_DIGITS] or UNKNOWN, RECORD))
    return True


def record_of(layout: Layout, cell_id: str, fingerprint: str) -> Record | None:
    """The set-aside record of this fingerprint, if there is one."""
    path = _find(layout, cell_id, fingerprint, RECORD)
    if path is None:
        return None
    try:
        return load(path, cell_id)
    except RecordError:
        return None


def cells(layout: Layout) -> set[str]:
    """The ids of the cells with set-aside files."""
    try:
        return {path.name for path in layout.earlier.iterdir()}
    except OSError:
        return set()


def disk_use(layout: Layout) -> tuple[int, int]:
    """The number of training runs that are set aside, and their bytes."""
    folders = list(layout.earlier.glob(f"*/*/{FOLDER}"))
    size = 0
    for path in layout.earlier.rglob("*"):
        with suppress(OSError):  # somebody may be deleting it
            size += path.stat().st_size if path.is_file() else 0
    return len(folders), size


def _holds_training(folder: Path) -> bool:
    """Whether a cell's folder has more than its mark."""
    try:
        return any(
            path.name != FINGERPRINT and not path.name.startswith(f".{FINGERPRINT}.")
            for path in folder.iterdir()
        )
    except FileNotFoundError:
        return False


def _find(layout: Layout, cell_id: str, fingerprint: str, part: str) -> Path | None:
    """The set-aside folder or record of a fingerprint."""
    for slot in _slots(layout, cell_id, fingerprint[:NAME_DIGITS]):
        path = slot / part
        mark = _fingerprint_of_record(path) if part == RECORD else mark_in(path).get("fingerprint")
        if mark == fingerprint:
            return path
    return None


def _slots(layout: Layout, cell_id: str, name: str) -> Iterator[Path]:
    try:
        paths = sorted((layout.earlier / cell_id).iterdir())
    except OSError:
        return
    yield from (path for path in paths if path.name.startswith(name))


def _free(layout: Layout, cell_id: str, name: str, part: str) -> Path:
    """A path that does not exist yet."""
    folder, number = layout.earlier / cell_id, 1
    while (path := folder / (name if number == 1 else f"{name}-{number}") / part).exists():
        number += 1
    return path


def _fingerprint_of_record(path: Path) -> str:
    fingerprint = read_object(path).get("fingerprint")
    return fingerprint if isinstance(fingerprint, str) else ""


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        reason = "cannot be moved to another disk: cells and earlier must be on one disk"
        raise OSError(error.errno, reason, str(source), None, str(target)) from None


def _remove_empty(layout: Layout, cell_id: str) -> None:
    """Remove the cell's empty folders in ``earlier/``."""
    folder = layout.earlier / cell_id
    for path in [*_slots(layout, cell_id, ""), folder, layout.earlier]:
        with suppress(OSError):  # it is not empty, or not there
            path.rmdir()
