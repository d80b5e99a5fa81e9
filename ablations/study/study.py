"""Studies as read from their YAML files, and their cells."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec

from ablations.storage.layout import PACKAGE
from ablations.storage.reading import PlanError, names_of, read, refuse
from ablations.storage.schemas import name_of, unknown
from ablations.study.asked_seeds import ALL, MAX_SEEDS
from ablations.study.axes import AXES
from ablations.study.cell import Cell, Setting
from ablations.study.choice import (
    Choice,
    problems_of,
    settings_of,
    with_choices,
    with_pending,
)
from ablations.study.grid import Grid, Value, load_grid
from ablations.study.slurm_options import SlurmOptions

FRESH_SEEDS = 5
"""The number of fresh seeds of a tuned row if the study gives none; they begin at MAX_SEEDS + 1."""

MIN_SCHEDULE, MAX_SCHEDULE = 0.001, 1000

ALL_GRIDS = "all"
"""The name that stands for all grids of a study, including its further grids."""

Seeds = Annotated[int, msgspec.Meta(ge=1, le=MAX_SEEDS)]


class StudyFile(msgspec.Struct, forbid_unknown_fields=True):
    """Schema of a study's file; see :class:`Study`."""

    title: str
    config: str
    dataset: str
    grids: Annotated[list[str], msgspec.Meta(min_length=1)]
    seeds: Seeds
    schedule: Annotated[float, msgspec.Meta(ge=MIN_SCHEDULE, le=MAX_SCHEDULE)] = 1.0
    further_grids: list[str] = []
    more_seeds: dict[str, Seeds] = {}
    fresh_seeds: Seeds = FRESH_SEEDS
    selection_seed: Annotated[int, msgspec.Meta(ge=0, le=2**31)] = 0
    axes: dict[str, dict] = {}
    base: dict[str, Value] = {}
    equivalence_margin: Annotated[float, msgspec.Meta(gt=0, le=100)] = 1.0
    as_published: bool = False
    propose: bool = False
    gpus: Annotated[int, msgspec.Meta(ge=0)] = 0
    slurm: SlurmOptions = SlurmOptions()


def schedule_of(text: str) -> float:
    """The number of a schedule's name: .3 for ``0.3x``.

    Raises:
        argparse.ArgumentTypeError: it is not a number with an optional x, or is out of range.
    """
    try:
        number = float(text.lower().removesuffix("x"))
    except ValueError:
        number = 0.0
    if not MIN_SCHEDULE <= number <= MAX_SCHEDULE:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a schedule; valid: {MIN_SCHEDULE}x to {MAX_SCHEDULE}x, such as 0.3x"
        )
    return number


def schedule_name(schedule: float) -> str:
    """The name of a schedule: ``0.3x`` for .3."""
    return f"{schedule:.12g}x"


@dataclass(frozen=True)
class Study:
    """A config, a data set, and the grids and seeds to train.

    Attributes:
        name: the file's stem.
        title: one line for the report.
        config: the cells' config file, relative to ``projects/focal_star/configs``.
        dataset: the data set's registered name.
        grids: the tables, in the order of the report.
        seeds: the seeds that each setting is trained with.
        schedule: the length of a training as a multiple of the config's: 1 for Detectron2's 1x.
        more_seeds: grid -> the seeds of its settings, for grids with other seeds.
        fresh_seeds: the seeds of grids with tuned rows. No grid without tuned rows can have such
            seeds, so that the runs that choose a setting never judge it.
        selection_seed: divides the validation images into a selection half and a reporting half. It
            is not part of a cell's identity.
        choices: tuning grid -> the choice among its settings, once there is one.
        asked_seeds: the numbers of seeds given on the command line, see
            :mod:`ablations.study.asked_seeds`; empty for the study's own.
        base: axis -> the config's value, in the study's terms.
        equivalence_margin: AP (percent) by which two equivalent settings differ at most.
        as_published: whether the config and the data set are those of the published tables, so
            that an AP can be compared with a published AP.
        propose: whether the cells have the input scale, anchors, views and iterations that are
            proposed for the data set (:mod:`focal_star.tools.doctor.proposal`).
        gpus: GPUs per cell, unless the command gives a number; 0 for the CPU.
        slurm: the options of a cell's task on a cluster.
    """

    name: str
    title: str
    config: str
    dataset: str
    grids: tuple[Grid, ...]
    seeds: tuple[int, ...]
    more_seeds: dict[str, tuple[int, ...]] = field(default_factory=dict)
    base: dict[str, Any] = field(default_factory=dict)
    schedule: float = 1.0
    equivalence_margin: float = 1.0
    as_published: bool = False
    propose: bool = False
    gpus: int = 0
    slurm: SlurmOptions = SlurmOptions()
    fresh_seeds: tuple[int, ...] = ()
    selection_seed: int = 0
    choices: Mapping[str, Choice] = field(default_factory=dict)
    asked_seeds: Mapping[str, int] = field(default_factory=dict)

    @property
    def timed_grids(self) -> tuple[Grid, ...]:
        """The tables that show the time per image."""
        return tuple(grid for grid in self.grids if grid.shows_times)

    @property
    def tuning(self) -> tuple[Grid, ...]:
        """The grids from which settings of other grids are chosen."""
        names = {row.tune for grid in self.grids for row in grid.rows}
        return tuple(grid for grid in self.grids if grid.name in names)

    @property
    def same_seeds(self) -> Mapping[str, int]:
        """The numbers of seeds to pass as an argument to repeat the study; empty for its own."""
        unequal = self.more_seeds or any(grid.is_tuned for grid in self.grids)
        return self.asked_seeds or ({} if unequal else {ALL: len(self.seeds)})

    @property
    def known_axes(self) -> dict[str, Any]:
        """Axis -> the config's value, for the axes whose value every setting may leave out."""
        common = {axis: about.base for axis, about in AXES.items() if about.base is not ...}
        return common | self.base

    @property
    def settings(self) -> dict[str, Setting]:
        """Id -> setting, of every row."""
        return {row.setting.id: row.setting for grid in self.grids for row in grid.rows}

    def with_choices(self, choices: Mapping[str, Choice]) -> "Study":
        """The study with these choices in place of earlier ones, in its tuned rows as well."""
        known = {grid.name: grid for grid in self.grids}
        pending = [with_pending(grid, known) for grid in self.grids]
        return replace(self, grids=with_choices(pending, choices), choices=dict(choices))

    def seeds_of(self, grid: Grid) -> tuple[int, ...]:
        """The seeds of a grid's settings."""
        return self.more_seeds.get(grid.name, self.fresh_seeds if grid.is_tuned else self.seeds)

    def cells_of(self, grid: Grid) -> list[Cell]:
        """The cells of a grid, each once."""
        settings, seeds = settings_of(grid), self.seeds_of(grid)
        return [Cell(setting, seed) for setting in settings for seed in seeds]

    @property
    def judged(self) -> list[Cell]:
        """The cells of grids with tuned rows, which only the reporting half judges; each once."""
        tuned = (grid for grid in self.grids if grid.is_tuned)
        return list(dict.fromkeys(cell for grid in tuned for cell in self.cells_of(grid)))

    def requested(self) -> list[Cell]:
        """A cell for every grid, row and seed; a cell of several grids appears several times.

        The first seed of all settings comes before the second seed of any, so that an unfinished
        study has complete tables. Fresh seeds are last.
        """
        seeds = {seed for grid in self.grids for seed in self.seeds_of(grid)}
        return [
            Cell(row.setting, seed)
            for seed in sorted(seeds)
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
    seeds: Mapping[str, int] | None = None,
    schedule: float | None = None,
    folder: Path = PACKAGE,
) -> Study:
    """Read ``<folder>/studies/<name>.yaml`` and its grids.

    Args:
        name: the study.
        grids: names of grids to use instead of the study's; ``ALL_GRIDS`` for all grids of the
            study, including its further grids.
        seeds: grid -> number of seeds, instead of the study's numbers; ``asked_seeds.ALL`` -> the
            number for all other grids.
        schedule: the length of the training runs, instead of the study's.
        folder: the folder of ``studies/``, ``grids/`` and ``reference/``.

    Raises:
        PlanError: an unknown study or grid, or a file that cannot be used.
    """
    asked = dict(seeds or {})
    known = names_of(folder / "grids")
    file = _study_file(name, folder, known)
    if others := [grid for grid in asked if grid not in (ALL, *known)]:
        raise PlanError(f"--seeds: {unknown('grid', others, known)}")
    names = _grid_names(grids, file, known)
    base = {a: file.axes.get(a, {}).get(value, value) for a, value in file.base.items()}
    schedule = schedule or file.schedule
    load = partial(load_grid, folder=folder / "grids", axes=file.axes, base=base, schedule=schedule)
    loaded, problems = _with_tuning_grids(names, known, load)
    problems += problems_of(loaded.values(), loaded)
    all_seeds = asked.get(ALL)
    of_file = {} if all_seeds else file.more_seeds
    of_command = {grid: number for grid, number in asked.items() if grid != ALL}
    more_seeds = of_file | of_command
    of_tuning = {row.tune for grid in loaded.values() for row in grid.rows}
    path = _path_of(name, folder)
    problems += [
        f"{'--seeds' if grid in of_command else f'{path}: more_seeds'}: grid {grid} tunes a loss; "
        "all losses are tuned with equal seeds"
        for grid in more_seeds
        if grid in of_tuning
    ]
    if problems:
        raise PlanError("\n".join(problems))
    return Study(
        name=name,
        title=file.title,
        config=file.config,
        dataset=file.dataset,
        grids=tuple(with_pending(grid, loaded) for grid in loaded.values()),
        seeds=_seeds(all_seeds or file.seeds),
        schedule=schedule,
        more_seeds={
            grid: _seeds(number, fresh=loaded[grid].is_tuned)
            for grid, number in more_seeds.items()
            if grid in loaded
        },
        base=base,
        equivalence_margin=file.equivalence_margin,
        as_published=file.as_published,
        propose=file.propose,
        gpus=file.gpus,
        slurm=file.slurm,
        fresh_seeds=_seeds(all_seeds or file.fresh_seeds, fresh=True),
        selection_seed=file.selection_seed,
        asked_seeds=asked,
    )


def _path_of(name: str, folder: Path) -> Path:
    return folder / "studies" / f"{name}.yaml"


def _study_file(name: str, folder: Path, known: Sequence[str]) -> StudyFile:
    """The content of ``<folder>/studies/<name>.yaml``; ``known`` are the names of all grids.

    Raises:
        PlanError: there is no such file, or it cannot be used; lists every problem.
    """
    if Path(name).name != name:
        known_studies = ", ".join(names_of(folder / "studies"))
        raise PlanError(f"there is no studies/{name_of(name)}.yaml; there are: {known_studies}")
    path = _path_of(name, folder)
    content, problems = read(path, StudyFile)
    for key, what, valid in (
        ("more_seeds", "grid", known),
        ("further_grids", "grid", known),
        ("axes", "axis", AXES),
        ("base", "axis", AXES),
    ):
        if others := [word for word in content.get(key, ()) if word not in valid]:
            problems.append(f"{key}: {unknown(what, others, valid)}")
    refuse(path, problems)
    return StudyFile(**content)


def _grid_names(asked: list[str] | None, file: StudyFile, known: Sequence[str]) -> list[str]:
    """The names of the asked grids, or else of the study's; they can repeat.

    Raises:
        PlanError: an unknown grid.
    """
    names = list(asked or file.grids)
    if ALL_GRIDS in names:
        names.remove(ALL_GRIDS)
        names += [*file.grids, *file.further_grids]
    if others := [grid for grid in names if grid not in known]:
        raise PlanError(unknown("grid", others, known))
    return names


def _with_tuning_grids(
    names: list[str], known: Sequence[str], load: Callable[[str], Grid]
) -> tuple[dict[str, Grid], list[str]]:
    """Load grids, and after them the grids from which their settings are chosen.

    Args:
        names: the grids.
        known: the names of all grids.
        load: reads a grid; raises a PlanError if that has problems.

    Returns:
        Name -> grid, and the problems.
    """
    loaded: dict[str, Grid] = {}
    problems, waiting = [], list(dict.fromkeys(names))
    while waiting:
        name = waiting.pop(0)
        try:
            loaded[name] = load(name)
        except PlanError as error:
            problems.append(str(error))
            continue
        tuning = list(dict.fromkeys(row.tune for row in loaded[name].rows if row.tune))
        if others := [grid for grid in tuning if grid not in known]:
            problems.append(f"grid {name}: tune: {unknown('grid', others, known)}")
        waiting += [grid for grid in tuning if grid in known and grid not in (*loaded, *waiting)]
    return loaded, problems


def _seeds(number: int, fresh: bool = False) -> tuple[int, ...]:
    first = MAX_SEEDS + 1 if fresh else 1
    return tuple(range(first, first + number))
