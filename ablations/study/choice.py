"""Defines tuned rows, whose settings the study chooses itself, before and after the choice.

A tuned row names a tuning grid. Until that grid is trained, the row's setting is pending; a
:class:`Choice` then determines it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated

import msgspec

from ablations.study.axes import AXES
from ablations.study.cell import Setting
from ablations.study.grid import Grid, Row

CHOSEN_LATER = "chosen after tuning"
"""Shown in place of the setting of a tuned row whose setting is not chosen yet."""

_Count = Annotated[int, msgspec.Meta(ge=0)]
_AP = Annotated[float, msgspec.Meta(ge=0, le=100)]


class Candidate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A setting of a tuning grid.

    Attributes:
        setting: the setting's id.
        selection: mean AP over the seeds on the selection half, percent; a diverged run counts as
            0.
        reporting: mean AP over the seeds on the reporting half, percent.
        diverged: the number of runs that diverged.
    """

    setting: str
    selection: _AP
    reporting: _AP
    diverged: _Count


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The choice among the settings of a tuning grid.

    Attributes:
        ranked: the settings, the highest AP on the selection half first; equal ones in the grid's
            order.
        seeds: the seeds that each setting was trained with.
        selection_seed: the seed that divided the images.
        fingerprints: cell id -> fingerprint, for each record that the choice is based on.
        stale: what has changed since the choice; not stored in a file.
    """

    ranked: tuple[Candidate, ...]
    seeds: tuple[int, ...]
    selection_seed: int
    fingerprints: dict[str, str]
    stale: tuple[str, ...] = ()

    @property
    def best(self) -> Candidate | None:
        """The chosen setting; None if every run of every setting diverged."""
        top = self.ranked[0] if self.ranked else None
        return top if top and top.diverged < len(self.seeds) else None


def ranked(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """The highest AP on the selection half first; of equal ones, those with fewer divergences."""
    return tuple(sorted(candidates, key=lambda c: (-c.selection, c.diverged)))


def settings_of(grid: Grid) -> list[Setting]:
    """The settings of a grid, each once."""
    return list(dict.fromkeys(row.setting for row in grid.rows))


def problems_of(grids: Iterable[Grid], known: Mapping[str, Grid]) -> list[str]:
    """One line for each reason why the tuned rows of some grids cannot be tuned.

    Args:
        grids: the grids.
        known: name -> grid, for the tuning grids that the rows name.
    """
    problems = []
    for grid in grids:
        sizes = {}
        for row in grid.rows:
            tuning = known.get(row.tune)
            if tuning is None:
                continue
            if tuning.is_tuned:
                problems.append(f"grid {grid.name}: {row.tune} has tuned rows itself")
            sizes[row.tune] = len(settings_of(tuning))
        if len(set(sizes.values())) > 1:
            counts = ", ".join(f"{name} has {size}" for name, size in sizes.items())
            problems.append(
                f"grid {grid.name}: its tuning grids have unequal numbers of settings, so the "
                f"comparison would be unfair: {counts}"
            )
    return problems


def with_pending(grid: Grid, known: Mapping[str, Grid]) -> Grid:
    """The grid whose tuned rows have pending settings, with the axes that all candidates share."""

    def planned(row: Row) -> Row:
        if not row.tune:
            return row
        first, *others = settings_of(known[row.tune])
        shared = tuple(pair for pair in first.values if all(pair in o.values for o in others))
        words = {column: value for column, value in row.values.items() if column not in AXES}
        return replace(row, values=words, setting=Setting(shared, row.tune), ours={})

    return replace(grid, rows=tuple(map(planned, grid.rows)))


def with_choices(grids: Sequence[Grid], choices: Mapping[str, Choice]) -> tuple[Grid, ...]:
    """The grids whose tuned rows have the chosen settings; rows without a choice are unchanged.

    Args:
        grids: the grids, including the tuning grids.
        choices: tuning grid -> its choice.
    """
    known = {grid.name: grid for grid in grids}

    def chosen(row: Row, columns: tuple[str, ...]) -> Row:
        best = choices[row.tune].best if row.tune in choices else None
        source = best and next(
            (other for other in known[row.tune].rows if other.setting.id == best.setting), None
        )
        if not source:
            return row
        axes = {axis: value for axis, value in source.values.items() if axis in columns}
        return replace(row, values=axes | row.values, setting=source.setting, ours=source.ours)

    return tuple(
        replace(grid, rows=tuple(chosen(row, grid.columns) for row in grid.rows)) for grid in grids
    )
