"""Studies and grids as read from their YAML files, and the cells they come to."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ablations.cell import Cell, Setting

HERE = Path(__file__).parent


class PlanError(ValueError):
    """A study or grid file that cannot be used; the message lists every problem."""


@dataclass(frozen=True)
class Row:
    """A row of a grid: what its columns show, and the setting behind it."""

    values: dict[str, Any]
    setting: Setting


@dataclass(frozen=True)
class Grid:
    """One table: an ordered list of settings.

    Attributes:
        name: the file's stem; also the table's anchor and the ``GRIDS`` argument.
        title: the table's title.
        columns: the axes a row is labelled by.
        rows: in the order of the table.
        published: rows of the published table (strings as printed), empty if there is none.
        source: where the published values are from.
        setup: what they were measured on.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    published: tuple[dict[str, str], ...] = ()
    source: str = ""
    setup: str = ""

    def published_values(self, row: Row) -> dict[str, float]:
        """The published metrics of a row (percent); empty where none is published."""
        for printed in self.published:
            if all(
                column in printed
                and _same(
                    printed[column], row.values.get(column, row.setting.as_dict().get(column))
                )
                for column in self.columns
            ):
                return {k: float(v) for k, v in printed.items() if k not in self.columns and v}
        return {}


@dataclass(frozen=True)
class Study:
    """What one command runs.

    Attributes:
        name: the file's stem.
        title: one line for the report.
        config: the cells' config file, relative to ``projects/focal_star/configs``.
        dataset: the data set's registered name.
        grids: the tables, in the order of the report.
        seeds: the seeds every setting is trained with.
    """

    name: str
    title: str
    config: str
    dataset: str
    grids: tuple[Grid, ...]
    seeds: tuple[int, ...]

    def cells(self) -> list[Cell]:
        """Every cell once, seed by seed, in the order of the tables.

        All settings come with the first seed before any comes with the second, so that an
        unfinished study has whole tables.
        """
        rows = [row for grid in self.grids for row in grid.rows]
        return list(dict.fromkeys(Cell(row.setting, seed) for seed in self.seeds for row in rows))


def load_grid(name: str, folder: Path = HERE / "grids") -> Grid:
    """Read ``<folder>/<name>.yaml``.

    Raises:
        PlanError: lists every problem of the file.
    """
    path = folder / f"{name}.yaml"
    content, problems = _read(
        path, required={"title": str, "columns": list, "rows": list},
        optional={"common": dict, "published": dict},
    )  # fmt: skip
    common, columns, rows = content.get("common", {}), tuple(content.get("columns", ())), []
    problems += [f"columns has {c!r}, not a name" for c in columns if not isinstance(c, str)]
    columns = tuple(column for column in columns if isinstance(column, str))
    if content.get("rows") == []:
        problems.append("there are no rows")
    for number, values in enumerate(content.get("rows", ()), start=1):
        if not isinstance(values, dict):
            problems.append(f"row {number} is {values!r}, not a mapping of axes")
            continue
        missing = [column for column in columns if column not in values | common]
        if missing:
            problems.append(f"row {number} has no {', '.join(missing)}, which is a column")
        problems += [
            f"row {number}: {axis} is {value!r}, not a number or a name"
            for axis, value in (common | values).items()
            if not isinstance(value, int | float | str | None)
        ]
        try:
            rows.append(Row(values, Setting.of(**common, **values)))
        except (TypeError, ValueError) as error:
            problems.append(f"row {number}: {error}")
    published, source, setup = (), "", ""
    if "published" in content:
        about = content["published"]
        try:
            source, setup = about["source"], about["setup"]
            published = _read_csv(folder.parent / "reference" / about["file"])
        except (KeyError, TypeError):
            problems.append(f"published is {about!r}; it takes 'file', 'source' and 'setup'")
        except OSError as error:
            problems.append(f"published: {error}")
    _refuse(path, problems)
    return Grid(name, content["title"], columns, tuple(rows), published, source, setup)


def load_study(
    name: str,
    grids: list[str] | None = None,
    seeds: int | None = None,
    folder: Path = HERE,
) -> Study:
    """Read ``<folder>/studies/<name>.yaml`` and its grids.

    Args:
        name: the study.
        grids: names of grids to take instead of the study's own.
        seeds: number of seeds to take instead of the study's own.
        folder: where ``studies/`` and ``grids/`` lie.

    Raises:
        PlanError: an unknown study or grid, or a file that cannot be used.
    """
    path = folder / "studies" / f"{name}.yaml"
    content, problems = _read(
        path,
        required={"title": str, "config": str, "dataset": str, "grids": list, "seeds": int},
    )
    if content.get("grids") == []:
        problems.append("there are no grids")
    if content.get("seeds", 1) < 1:
        problems.append(f"seeds is {content['seeds']}; at least 1 is needed")
    _refuse(path, problems)
    names = list(grids or content["grids"])
    known = _names(folder / "grids")
    unknown = [str(grid) for grid in names if grid not in known]
    if unknown:
        raise PlanError(f"unknown grids {', '.join(unknown)}; there are: {', '.join(known)}")
    loaded, refused = [], []
    for grid in dict.fromkeys(names):
        try:
            loaded.append(load_grid(grid, folder / "grids"))
        except PlanError as error:
            refused.append(str(error))
    if refused:
        raise PlanError("\n".join(refused))
    return Study(
        name=name,
        title=content["title"],
        config=content["config"],
        dataset=content["dataset"],
        grids=tuple(loaded),
        seeds=tuple(range(1, (content["seeds"] if seeds is None else seeds) + 1)),
    )


def _same(printed: str, value: Any) -> bool:
    """Whether a published table's text means the value: 0.10 is 0.1."""
    try:
        return float(printed) == float(value)
    except ValueError:
        return printed == str(value)


def _names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml"))


def _read(
    path: Path, required: dict[str, type], optional: dict[str, type] | None = None
) -> tuple[dict[str, Any], list[str]]:
    """The keys of a file that can be used, and one line for each problem with the others."""
    if not path.is_file():
        raise PlanError(
            f"there is no {path.parent.name}/{path.name}; there are: "
            + ", ".join(_names(path.parent))
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PlanError(f"{path}: not YAML: {error}") from error
    if not isinstance(content, dict):
        raise PlanError(f"{path}: a mapping is expected, this is {type(content).__name__}")
    known = required | (optional or {})
    # By its exact type: a bool is no int here.
    usable = {key: content[key] for key in known if type(content.get(key)) is known[key]}
    problems = [f"{key} is missing" for key in required if key not in content]
    problems += [
        f"unknown key {key}; known: {', '.join(known)}" for key in content if key not in known
    ]
    problems += [
        f"{key} is {content[key]!r}, not a {kind.__name__}"
        for key, kind in known.items()
        if key in content and key not in usable
    ]
    return usable, problems


def _refuse(path: Path, problems: list[str]) -> None:
    if problems:
        raise PlanError(f"{path}: " + "; ".join(problems))


def _read_csv(path: Path) -> tuple[dict[str, str], ...]:
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))
