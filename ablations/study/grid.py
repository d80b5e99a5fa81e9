"""Grids as read from their YAML files: the rows of the tables."""

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec

from ablations.storage.layout import PACKAGE
from ablations.storage.reading import read, refuse
from ablations.storage.schemas import convert
from ablations.study.axes import AXES, DENSE, MODEL_AXES, has_effect
from ablations.study.cell import Setting
from focal_star.io.quoting import shown

MAX_ID_LENGTH = 200
"""The maximum number of characters of a setting's id, which becomes part of file names."""

SPEED = "ms_per_image"
"""The metric of speed, which is measured after the cells."""

COLUMNS = ("AP", "AP50", "AP75")
"""The metrics that a table shows if its file names none."""

TUNE = "tune"
"""The key of a row that names the grid from which the study chooses the row's setting."""

Value = int | float | str | None


class Published(msgspec.Struct, forbid_unknown_fields=True):
    """Schema of ``published`` in a grid's file: a file of ``reference/`` and its source."""

    file: str
    source: str
    setup: str


class GridFile(msgspec.Struct, forbid_unknown_fields=True):
    """Schema of a grid's file; see :class:`Grid`."""

    title: str
    columns: list[str]
    rows: Annotated[list, msgspec.Meta(min_length=1)]
    common: dict[str, Value] = {}
    published: Published | None = None
    metrics: list[str] = []
    reference: dict[str, Value] | None = None
    reference_per: list[str] = []
    candidate: dict[str, Value] | None = None


@dataclass(frozen=True)
class Row:
    """A row of a grid.

    Attributes:
        values: column or axis -> value, in the grid's (the paper's) terms.
        setting: what is trained, in the study's terms.
        ours: axis -> the study's value, for the axes that the study translates.
        tune: the grid that the setting is chosen from; "" if the row gives its setting.
    """

    values: dict[str, Any]
    setting: Setting
    ours: dict[str, Any] = field(default_factory=dict)
    tune: str = ""


@dataclass(frozen=True)
class Grid:
    """One table: an ordered list of settings.

    Attributes:
        name: the file's stem; also the table's anchor and the ``GRIDS`` argument.
        title: the table's title.
        columns: the labels of a row: axes, or words that the rows give (``method``).
        rows: the table's rows, in its order.
        metrics: the columns of results, with the names of the published files.
        published: rows of the published table (strings as printed), empty if there is none.
        source: the source of the published values.
        setup: the data set, model and hardware that they were measured with.
        references: row -> the index of the row that it is compared with; empty without such rows.
        reference_per: columns in which a row and its reference row have the same value.
        candidate: the index of the row that the report asks about first; None if the file names
            none.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    metrics: tuple[str, ...] = COLUMNS
    published: tuple[dict[str, str], ...] = ()
    source: str = ""
    setup: str = ""
    references: tuple[int, ...] = ()
    reference_per: tuple[str, ...] = ()
    candidate: int | None = None

    @property
    def label(self) -> str:
        """How a text refers to the table: the letter that begins its title, or its name."""
        letter = re.match(r"\(\S+\)", self.title)
        return letter[0] if letter else self.name

    @property
    def shows_times(self) -> bool:
        """Whether the table shows the time per image of its architectures."""
        return SPEED in self.metrics

    @property
    def is_tuned(self) -> bool:
        """Whether the study chooses settings of this grid. If so, all its seeds are fresh seeds."""
        return any(row.tune for row in self.rows)

    @property
    def reference(self) -> int | None:
        """The index of the row that all rows are compared with; None without such a row."""
        return self.references[0] if len(set(self.references)) == 1 else None

    def reference_of(self, row: int) -> int | None:
        """The index of the row that a row is compared with; None without one."""
        return self.references[row] if self.references else None

    def published_values(self, row: Row) -> dict[str, float]:
        """The published metrics of a row (percent, ms); empty if none are published."""
        for printed in self.published:
            if all(
                column in printed and _same(printed[column], row.values.get(column))
                for column in self.columns
            ):
                return {k: float(v) for k, v in printed.items() if k not in self.columns and v}
        return {}


def load_grid(
    name: str,
    folder: Path = PACKAGE / "grids",
    axes: dict[str, dict[Any, Any]] | None = None,
    base: dict[str, Any] | None = None,
    schedule: float = 1.0,
) -> Grid:
    """Read ``<folder>/<name>.yaml``.

    Args:
        name: the grid.
        folder: its folder.
        axes: axis -> the paper's value -> the study's; the values of other axes are unchanged.
        base: axis -> the value of the study's config, in the study's terms.
        schedule: the schedule of the rows that do not name one.

    Raises:
        PlanError: lists every problem of the file.
    """
    path = folder / f"{name}.yaml"
    content, problems = read(path, GridFile)
    common, columns = content.get("common", {}), tuple(content.get("columns", ()))
    rows, given = [], []
    for number, values in enumerate(content.get("rows", ()), start=1):
        if not isinstance(values, dict):
            problems.append(f"row {number} is {shown(values)}, not a mapping of axes")
            continue
        given.append((number, common | values))
        try:
            if TUNE in values:
                rows.append(_tuned_row(common | values, columns))
            else:
                rows.append(_row(common | values, columns, axes or {}, base or {}, schedule))
        except ValueError as error:
            problems.append(f"row {number}: {error}")
    references: tuple[int, ...] = ()
    candidate = None
    about = content.get("published")
    published: tuple[dict[str, str], ...] = ()
    try:
        if content.get("reference") is not None:
            references = _references(content["reference"], content.get("reference_per", ()), given)
    except ValueError as error:
        problems.append(str(error))
    try:
        if content.get("candidate") is not None:
            candidate = _only_row("candidate", content["candidate"], given)
            if not problems:
                _check_candidate(rows, candidate, references)
    except ValueError as error:
        problems.append(str(error))
    try:
        if about:
            published = _read_csv(folder.parent / "reference", about.file, columns)
    except (OSError, ValueError) as error:
        problems.append(f"published: {error}")
    refuse(path, problems)
    return Grid(
        name=name,
        title=content["title"],
        columns=columns,
        rows=tuple(rows),
        metrics=tuple(content.get("metrics") or COLUMNS),
        published=published,
        source=about.source if about else "",
        setup=about.setup if about else "",
        references=references,
        reference_per=tuple(content.get("reference_per", ())),
        candidate=candidate,
    )


def _tuned_row(values: dict[str, Any], columns: tuple[str, ...]) -> Row:
    """The row whose setting is chosen from another grid; it has columns of words, but no axes.

    Raises:
        ValueError: lists every problem with the values.
    """
    problems: list[str] = []
    name = convert(values[TUNE], str, TUNE, problems)
    words = {key: value for key, value in values.items() if key != TUNE}
    convert(words, dict[str, Value], "row", problems)
    if others := [key for key in words if key in AXES or key not in columns]:
        problems.append(f"{', '.join(map(str, others))}: a row with {TUNE} takes its axes from it")
    if missing := [column for column in columns if column not in AXES and column not in words]:
        problems.append(f"{', '.join(missing)} is a column and has no value")
    if problems:
        raise ValueError("; ".join(problems))
    return Row(words, Setting((), name), tune=name)


def _row(
    values: dict[str, Any],
    columns: tuple[str, ...],
    axes: dict[str, dict[Any, Any]],
    base: dict[str, Any],
    schedule: float,
) -> Row:
    """The row with these values: of axes, and words for the other columns.

    Raises:
        ValueError: lists every problem with the values.
    """
    problems: list[str] = []
    convert(values, dict[str, Value], "row", problems)
    problems = [problem.removeprefix("row.") for problem in problems]
    needed = [
        column
        for column in columns
        if column not in AXES
        or (AXES[column].only_with in (None, DENSE) and has_effect(column, values))
    ]
    missing = [column for column in needed if column not in values]
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
    setting = Setting.of(base, **{"schedule": schedule} | of_axes | ours)
    if len(setting.id) > MAX_ID_LENGTH:
        raise ValueError(f"its values make a file name of {len(setting.id)} characters")
    return Row(values, setting, ours)


def _references(
    wanted: dict[str, Any], per: Sequence[str], given: list[tuple[int, dict[str, Any]]]
) -> tuple[int, ...]:
    """The index of each row's reference row.

    Args:
        wanted: column or axis -> value of a reference row.
        per: columns or axes in which a reference row also has the value of the row itself.
        given: the rows' numbers, from 1, and their values.

    Raises:
        ValueError: no row has these values, or several have.
    """
    like = (wanted | {key: row.get(key) for key in per} for _, row in given)
    return tuple(_only_row("reference", values, given) for values in like)


def _only_row(key: str, wanted: dict[str, Any], given: list[tuple[int, dict[str, Any]]]) -> int:
    """The index of the row that has these values.

    Args:
        key: the key of the grid that names the row.
        wanted: column or axis -> value.
        given: the rows' numbers, from 1, and their values.

    Raises:
        ValueError: no row has these values, or several have.
    """
    fitting = [
        number
        for number, values in given
        if all(name in values and values[name] == value for name, value in wanted.items())
    ]
    if len(fitting) != 1:
        which = f"rows {', '.join(map(str, fitting))}" if fitting else "no row"
        raise ValueError(f"{key} {shown(wanted)} fits {which}; it takes values that one row has")
    return fitting[0] - 1


def _check_candidate(rows: Sequence[Row], candidate: int, references: Sequence[int]) -> None:
    """Refuse a candidate that differs from the reference row in more or less than its loss.

    The axes of a tuned row are those of its tuning grid, which are not known here.

    Raises:
        ValueError: the message says why the two rows do not compare losses.
    """
    if len(set(references)) != 1:
        raise ValueError("candidate needs a reference row that all rows share")
    ours, theirs = rows[candidate], rows[references[0]]
    if ours is theirs:
        raise ValueError("candidate and reference are the same row")
    values, others = ours.setting.as_dict(), theirs.setting.as_dict()
    if (ours.tune, values.get("loss")) == (theirs.tune, others.get("loss")):
        raise ValueError("candidate and reference have the same loss")
    if ours.tune or theirs.tune:
        return
    if differing := [axis for axis in MODEL_AXES if values.get(axis) != others.get(axis)]:
        raise ValueError(f"candidate and reference differ in {', '.join(differing)}")


def _same(printed: str, value: Any) -> bool:
    """Whether a published table's text equals the value: 0.10 is 0.1, an empty field is None."""
    if value is None:
        return printed == ""
    try:
        return float(printed) == float(value)
    except ValueError:
        return printed == str(value)


def _read_csv(folder: Path, name: str, columns: tuple[str, ...]) -> tuple[dict[str, str], ...]:
    """The rows of a published table: texts of its columns, and numbers under all other names.

    Raises:
        OSError: the file does not exist or cannot be read.
        ValueError: it is not in the folder, or not a table; the message names the row.
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
