"""Studies as read from their YAML files, and the cells they come to."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ablations.storage.reading import PlanError, names_of, read, refuse, shown
from ablations.study.cell import AXES, Cell
from ablations.study.grid import Grid, load_grid
from ablations.study.slurm_options import problems_of

HERE = Path(__file__).parents[1]

MOST_SEEDS = 1000
"""Of a setting."""


@dataclass(frozen=True)
class Study:
    """What one command runs.

    Attributes:
        name: the file's stem.
        title: one line for the report.
        config: the cells' config file, relative to ``projects/focal_star/configs``.
        dataset: the data set's registered name.
        grids: the tables, in the order of the report.
        seeds: the seeds that a setting is trained with.
        more_seeds: grid -> the seeds of its settings, where it has others.
        base: axis -> the value that the config has, in the study's terms.
        gpus: of one cell, where the command does not say; 0 for the CPU.
        slurm: options of the cluster, see :mod:`ablations.runner.slurm`.
    """

    name: str
    title: str
    config: str
    dataset: str
    grids: tuple[Grid, ...]
    seeds: tuple[int, ...]
    more_seeds: dict[str, tuple[int, ...]] = field(default_factory=dict)
    base: dict[str, Any] = field(default_factory=dict)
    gpus: int = 0
    slurm: dict[str, Any] = field(default_factory=dict)

    def seeds_of(self, grid: Grid) -> tuple[int, ...]:
        """The seeds that a grid's settings are trained with."""
        return self.more_seeds.get(grid.name, self.seeds)

    def requested(self) -> list[Cell]:
        """A cell for every grid, row and seed: one that several grids show is there as often.

        All settings come with the first seed before any comes with the second, so that an
        unfinished study has whole tables.
        """
        most = max(max(self.seeds_of(grid)) for grid in self.grids)
        return [
            Cell(row.setting, seed)
            for seed in range(1, most + 1)
            for grid in self.grids
            if seed in self.seeds_of(grid)
            for row in grid.rows
        ]

    def cells(self) -> list[Cell]:
        """Every cell once, in the order of :meth:`requested`."""
        return list(dict.fromkeys(self.requested()))


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
        seeds: number of seeds to take for every grid instead of the study's own numbers.
        folder: where ``studies/`` and ``grids/`` lie.

    Raises:
        PlanError: an unknown study or grid, or a file that cannot be used.
    """
    if seeds is not None and seeds > MOST_SEEDS:
        raise PlanError(f"{seeds} seeds were asked for; {MOST_SEEDS} at most")
    if Path(name).name != name:
        there = ", ".join(names_of(folder / "studies"))
        raise PlanError(f"there is no studies/{shown(name)[1:-1]}.yaml; there are: {there}")
    path = folder / "studies" / f"{name}.yaml"
    content, problems = read(
        path,
        required={"title": str, "config": str, "dataset": str, "grids": list, "seeds": int},
        optional={"more_seeds": dict, "axes": dict, "base": dict, "gpus": int, "slurm": dict},
    )
    problems += problems_of(content.get("slurm", {}))
    if content.get("grids") == []:
        problems.append("there are no grids")
    if content.get("gpus", 0) < 0:
        problems.append(f"gpus is {content['gpus']}; valid: a whole number, 0 for the CPU")
    numbers = {"seeds": content.get("seeds", 1)}
    numbers |= {f"more_seeds of {grid}": n for grid, n in content.get("more_seeds", {}).items()}
    problems += [
        f"{key} is {shown(n)}; valid: a whole number from 1 to {MOST_SEEDS}"
        for key, n in numbers.items()
        if type(n) is not int or not 1 <= n <= MOST_SEEDS
    ]
    known = names_of(folder / "grids")
    unknown = [str(grid) for grid in content.get("more_seeds", {}) if grid not in known]
    if unknown:
        problems.append(
            f"more_seeds: unknown grids {', '.join(unknown)}; there are: {', '.join(known)}"
        )
    axes, base = content.get("axes", {}), content.get("base", {})
    for key, mapping in (("axes", axes), ("base", base)):
        unknown = [str(axis) for axis in mapping if axis not in AXES]
        if unknown:
            problems.append(f"{key}: unknown axis {', '.join(unknown)}; known: {', '.join(AXES)}")
    problems += [
        f"axes: {shown(axis)[1:-1]} is {shown(meaning)}, not a mapping of the paper's values to "
        "the study's"
        for axis, meaning in axes.items()
        if not isinstance(meaning, dict)
    ]
    problems += [
        f"base: {shown(axis)[1:-1]} is {shown(value)}, not a number or a name"
        for axis, value in base.items()
        if not isinstance(value, int | float | str | None)
    ]
    refuse(path, problems)
    names = list(grids or content["grids"])
    unknown = [str(grid) for grid in names if grid not in known]
    if unknown:
        raise PlanError(f"unknown grids {', '.join(unknown)}; there are: {', '.join(known)}")
    base = {axis: axes.get(axis, {}).get(value, value) for axis, value in base.items()}
    loaded, refused = [], []
    for grid in dict.fromkeys(names):
        try:
            loaded.append(load_grid(grid, folder / "grids", axes, base))
        except PlanError as error:
            refused.append(str(error))
    if refused:
        raise PlanError("\n".join(refused))
    more = {} if seeds else content.get("more_seeds", {})
    return Study(
        name=name,
        title=content["title"],
        config=content["config"],
        dataset=content["dataset"],
        grids=tuple(loaded),
        seeds=tuple(range(1, (seeds or content["seeds"]) + 1)),
        more_seeds={grid: tuple(range(1, n + 1)) for grid, n in more.items() if grid in names},
        base=base,
        gpus=content.get("gpus", 0),
        slurm=content.get("slurm", {}),
    )
