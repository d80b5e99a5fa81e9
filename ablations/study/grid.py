"""Grids as read from their YAML files: the rows of the tables."""

import csv
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ablations.storage.reading import names_in, read, refuse, shown
from ablations.study.cell import AXES, DENSE, Setting, has_effect

HERE = Path(__file__).parents[1]

LONGEST_ID = 200
"""Of a setting, in characters: it becomes part of file names."""

METRICS = ("AP", "AP50", "AP75")
"""The columns of results of a table that names none."""


@dataclass(frozen=True)
class Row:
    """A row of a grid.

    Attributes:
        values: column or axis -> value, in the terms of the grid's file: the paper's.
        setting: what is trained, in the study's terms.
        ours: axis -> the study's value, of the axes that the study translates.
    """

    values: dict[str, Any]
    setting: Setting
    ours: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Grid:
    """One table: an ordered list of settings.

    Attributes:
        name: the file's stem; also the table's anchor and the ``GRIDS`` argument.
        title: the table's title.
        columns: what a row is labelled by: axes, or words that the rows give (``method``).
        rows: in the order of the table.
        metrics: the columns of results, by the names of the published files.
        published: rows of the published table (strings as printed), empty if there is none.
        source: where the published values are from.
        setup: what they were measured on.
        reference: index of the row that the others are compared with, None if there is none.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    metrics: tuple[str, ...] = METRICS
    published: tuple[dict[str, str], ...] = ()
    source: str = ""
    setup: str = ""
    reference: int | None = None

    def published_values(self, row: Row) -> dict[str, float]:
        """The published metrics of a row (percent, ms); empty where none is published."""
        for printed in self.published:
            if all(
                column in printed and _same(printed[column], row.values.get(column))
                for column in self.columns
            ):
                return {k: float(v) for k, v in printed.items() if k not in self.columns and v}
        return {}


def load_grid(
    name: str,
    folder: Path = HERE / "grids",
    axes: dict[str, dict[Any, Any]] | None = None,
    base: dict[str, Any] | None = None,
) -> Grid:
    """Read ``<folder>/<name>.yaml``.

    Args:
        name: the grid.
        folder: where it lies.
        axes: axis -> the paper's value -> the study's; other axes are taken as they stand.
        base: axis -> the value of the study's config, in the study's terms.

    Raises:
        PlanError: lists every problem of the file.
    """
    path = folder / f"{name}.yaml"
    content, problems = read(
        path, required={"title": str, "columns": list, "rows": list},
        optional={"common": dict, "published": dict, "metrics": list, "reference": dict},
    )  # fmt: skip
    common, rows, given = content.get("common", {}), [], []
    columns, metrics = (names_in(content, key, problems) for key in ("columns", "metrics"))
    if content.get("rows") == []:
        problems.append("there are no rows")
    for number, values in enumerate(content.get("rows", ()), start=1):
        if not isinstance(values, dict):
            problems.append(f"row {number} is {shown(values)}, not a mapping of axes")
            continue
        given.append((number, common | values))
        try:
            rows.append(_row(common | values, columns, axes or {}, base or {}))
        except ValueError as error:
            problems.append(f"row {number}: {error}")
    reference = None
    if "reference" in content:
        try:
            reference = _reference(content["reference"], given)
        except ValueError as error:
            problems.append(str(error))
    published, source, setup = (), "", ""
    if "published" in content:
        about = content["published"]
        try:
            source, setup, file = (about[key] for key in ("source", "setup", "file"))
            if not all(isinstance(text, str) for text in (source, setup, file)):
                raise TypeError
            published = _read_csv(folder.parent / "reference", file, columns)
        except (KeyError, TypeError):
            problems.append(
                f"published is {shown(about)}; it takes 'file', 'source' and 'setup', texts"
            )
        except (OSError, ValueError) as error:
            problems.append(f"published: {error}")
    refuse(path, problems)
    return Grid(
        name, content["title"], columns, tuple(rows), metrics or METRICS, published, source, setup,
        reference,
    )  # fmt: skip


def _row(
    values: dict[str, Any],
    columns: tuple[str, ...],
    axes: dict[str, dict[Any, Any]],
    base: dict[str, Any],
) -> Row:
    """The row of these values: axes, and words for columns that are no axis.

    Raises:
        ValueError: what is wrong with the values.
    """
    problems = [
        f"{shown(axis)[1:-1]} is {shown(value)}, not a number or a name"
        for axis, value in values.items()
        if not isinstance(value, int | float | str | None)
    ]
    problems += [f"{shown(axis)} is not a name" for axis in values if not isinstance(axis, str)]
    missing = [c for c in columns if c not in values and c not in AXES]
    missing += [
        c
        for c in columns
        if c in AXES and c not in values and AXES[c].only_with in (None, DENSE)
        and has_effect(c, values)
    ]  # fmt: skip
    if missing:
        problems.append(f"{', '.join(missing)} is a column and has no value")
    if problems:
        raise ValueError("; ".join(problems))
    of_axes = {a: v for a, v in values.items() if a in AXES or a not in columns}
    ours = {}
    for axis in of_axes.keys() & axes.keys():
        if of_axes[axis] not in axes[axis]:
            known = ", ".join(map(str, axes[axis]))
            raise ValueError(
                f"{axis} {shown(of_axes[axis])} has no meaning in this study; known: {known}"
            )
        ours[axis] = axes[axis][of_axes[axis]]
    setting = Setting.of(base, **of_axes | ours)
    if len(setting.id) > LONGEST_ID:
        raise ValueError(f"its values make a file name of {len(setting.id)} characters")
    return Row(values, setting, ours)


def _reference(wanted: dict[str, Any], given: list[tuple[int, dict[str, Any]]]) -> int:
    """The index of the one row that has all of these values.

    Args:
        wanted: column or axis -> value.
        given: the rows' numbers, from 1, and their values.

    Raises:
        ValueError: no row has them, or several have.
    """
    fitting = [
        number
        for number, values in given
        if all(key in values and values[key] == value for key, value in wanted.items())
    ]
    if len(fitting) != 1:
        which = f"rows {', '.join(map(str, fitting))}" if fitting else "no row"
        raise ValueError(
            f"reference {shown(wanted)} fits {which}; it takes values that one row has"
        )
    return fitting[0] - 1


def _same(printed: str, value: Any) -> bool:
    """Whether a published table's text means the value: 0.10 is 0.1, an empty field is None."""
    if value is None:
        return printed == ""
    try:
        return float(printed) == float(value)
    except ValueError:
        return printed == str(value)


def _read_csv(folder: Path, name: str, columns: tuple[str, ...]) -> tuple[dict[str, str], ...]:
    """The rows of a published table: texts of its columns, and numbers under all other names.

    Raises:
        OSError: it is not there, or cannot be read.
        ValueError: it is not in the folder, or no such table; the message says where.
    """
    if Path(name).name != name or "\0" in name:
        raise ValueError(f"{shown(name)} is not the name of a file of {folder.name}/")
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(f"there is no {folder.name}/{name}")
    rows = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, strict=True):
                if None in row or None in row.values():
                    raise ValueError("another number of fields than its first line")
                for column, text in row.items():
                    if column not in columns and text and not math.isfinite(float(text)):
                        raise ValueError(f"{column} is {shown(text)}, not a number")
                rows.append(row)
    except (csv.Error, ValueError) as error:
        raise ValueError(f"{folder.name}/{name}: row {len(rows) + 2}: {error}") from error
    return tuple(rows)
