"""Finds the config keys in which the rows of a table differ, from the records of their runs.

A row of a table names what it varies. This module compares the recorded configs of the runs, to
find tables whose rows also differ in something else: a confound.
"""

import json
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ablations.identity.fingerprint import canonical, is_without_effect
from ablations.records.record import Record
from ablations.status.status import ENDED
from ablations.study.axes import AXES, has_effect
from ablations.study.grid import Grid, Row
from reports.results.labels import axis_label
from reports.results.load import Results
from reports.results.states import PARTS

DEFAULT = "its default"
"""The value of a key that is not in a record: the default of Detectron2 or of this project."""

ALIKE = ("dataset", "numerics", "processes")
"""The parts of a run's identity that are the same in all rows of a table."""

_AXIS_OF = {axis.key: name for name, axis in AXES.items()}


@dataclass(frozen=True)
class Run:
    """A run of a table whose record contains its config.

    Attributes:
        number: the index of the row, from 0.
        row: the run's row.
        record: the run's record.
        axes: axis -> value, for the axes that affect the run.
    """

    number: int
    row: Row
    record: Record
    axes: dict[str, Any]

    def value(self, key: str) -> str:
        """The value of a config key as canonical text; ``DEFAULT`` if the record has none."""
        values = self.record.run["config"]["values"]
        return canonical(values[key]) if key in values else DEFAULT


@dataclass(frozen=True)
class Differences:
    """What the rows of a table differ in.

    Attributes:
        num_runs: the number of runs that enter the table.
        num_compared: the number of these runs whose record contains the config.
        num_rows: the number of rows that these runs belong to.
        named: the labels of the columns that are axes.
        by_word: the labels of the axes that a column of words, such as the method, summarises.
        following: what is derived from these axes: labels of axes, config keys, initial weights.
        confounds: one text per other difference, with its values and their rows.
    """

    num_runs: int
    num_compared: int
    num_rows: int
    named: tuple[str, ...] = ()
    by_word: tuple[str, ...] = ()
    following: tuple[str, ...] = ()
    confounds: tuple[str, ...] = ()


def differences(results: Results, grid: Grid, row_labels: Sequence[str]) -> Differences:
    """Compare the runs of a table.

    An axis that the rows vary is named if it is a column or if the table has a column of words. If
    the runs differ in an axis that the rows do not vary, the axis is derived from another one: FL
    with γ = 0 is trained as the cross entropy. A key that is not an axis is derived if the training
    computes it from keys that differ, and if runs with equal values of those keys have the same
    value of it.

    Args:
        results: the study.
        grid: the table.
        row_labels: a label for each row.
    """
    ended = results.of_grid(grid)
    ended = ended[ended["state"].isin(ENDED)]
    runs = []
    for number, cell in zip(ended["row"], ended["cell"], strict=True):
        row, record = grid.rows[number], results.records[cell]
        if _has_config(record):
            values = results.study.known_axes | row.setting.as_dict()
            axes = {axis: values.get(axis) for axis in AXES if has_effect(axis, values)}
            runs.append(Run(number, row, record, axes))
    comparison = _Comparison(grid, runs, row_labels)
    comparison.compare_axes()
    comparison.compare_other_keys()
    comparison.compare_identities()
    return Differences(
        num_runs=len(ended),
        num_compared=len(runs),
        num_rows=len({run.number for run in runs}),
        named=tuple(comparison.named),
        by_word=tuple(comparison.by_word),
        following=tuple(comparison.following),
        confounds=tuple(dict.fromkeys(comparison.confounds)),
    )


class _Comparison:
    """Sorts what differs into the lists of :class:`Differences`."""

    def __init__(self, grid: Grid, runs: list[Run], row_labels: Sequence[str]):
        self.grid, self.runs, self.row_labels = grid, runs, row_labels
        self.has_words = any(column not in AXES for column in grid.columns)
        self.named: list[str] = []
        self.by_word: list[str] = []
        self.following: list[str] = []
        self.confounds: list[str] = []

    def compare_axes(self) -> None:
        for name, axis in AXES.items():
            runs = [run for run in self.runs if name in run.axes]
            self._check_plan(name, runs)
            label = axis_label(name).header
            if name in self.grid.columns:
                if _rows_differ(self.runs, name):
                    self.named.append(label)
            elif not _differ(runs, axis.key):
                continue
            elif not _rows_differ(runs, name):
                self.following.append(label)
            elif self.has_words:
                self.by_word.append(label)
            else:
                self._confound(axis.key, runs, _value_of(axis.key))

    def compare_other_keys(self) -> None:
        keys = {key for run in self.runs for key in run.record.run["config"]["values"]}
        for key in sorted(keys - _AXIS_OF.keys()):
            if is_without_effect(key) or not _differ(self.runs, key):
                continue
            sources = sorted({source for run in self.runs for source in _sources(run, key)})
            if _is_function(self.runs, key, sources):
                self.following.append(key)
            else:
                self._confound(key, self.runs, _value_of(key))

    def compare_identities(self) -> None:
        for part in ALIKE:
            self._check_equal(PARTS.get(part, part), self.runs, _part_of(part))
        of_weights = [axis for axis, about in AXES.items() if about.changes_weights]
        groups = _grouped(self.runs, lambda run: tuple(run.axes.get(axis) for axis in of_weights))
        for runs in groups:
            self._check_equal(PARTS["weights"], runs, _part_of("weights"))
        if len({_part(run, "weights") for run in self.runs}) > 1 and len(groups) > 1:
            self.following.append(PARTS["weights"])
        for runs in _grouped(self.runs, lambda run: run.axes.get("loss")):
            self._check_equal(PARTS["loss"], runs, _part_of("loss"))
        for run in self.runs:
            for change in run.record.run.get("config_changes") or ():
                if not is_without_effect(str(change.get("key"))):
                    self.confounds.append(
                        f"{change.get('key')}: from {change.get('old')} to {change.get('new')} at "
                        f"iteration {change.get('iteration')} of {self._rows([run])}"
                    )

    def _check_plan(self, name: str, runs: list[Run]) -> None:
        """Whether each run was trained with its row's value of an axis."""
        key = AXES[name].key
        for same in _grouped(runs, lambda run: canonical(run.axes[name])):
            wrong = [
                run
                for run in same
                if name in run.row.setting.as_dict()
                and run.value(key) not in (DEFAULT, canonical(run.axes[name]))
            ]
            if wrong or _differ(same, key):
                self._confound(key, wrong or same, _value_of(key))
        defaults = [run for run in runs if run.value(key) == DEFAULT]
        if len({canonical(run.axes[name]) for run in defaults}) > 1:
            self._confound(key, defaults, _value_of(key))

    def _check_equal(self, what: str, runs: list[Run], value: Callable[[Run], str]) -> None:
        if len({value(run) for run in runs}) > 1:
            self._confound(what, runs, value)

    def _confound(self, what: str, runs: list[Run], value: Callable[[Run], str]) -> None:
        parts = [f"{value(same[0])} in {self._rows(same)}" for same in _grouped(runs, value)]
        self.confounds.append(f"{what}: {', '.join(parts)}")

    def _rows(self, runs: list[Run]) -> str:
        names = dict.fromkeys(
            f"{self.row_labels[run.number]} (seed {run.record.seed})" for run in runs
        )
        return " and ".join(names)


def _has_config(record: Record) -> bool:
    config = record.run.get("config")
    return isinstance(config, dict) and all(
        isinstance(config.get(part), dict) for part in ("values", "follows")
    )


def _sources(run: Run, key: str) -> list[str]:
    sources = run.record.run["config"]["follows"].get(key, [])
    return [source for source in sources if isinstance(source, str)] if sources else []


def _value_of(key: str) -> Callable[[Run], str]:
    return lambda run: run.value(key)


def _part_of(name: str) -> Callable[[Run], str]:
    return lambda run: _part(run, name)


def _rows_differ(runs: Iterable[Run], axis: str) -> bool:
    """Whether the rows of these runs have different values of an axis in the grid."""
    return len({canonical(run.row.values.get(axis)) for run in runs}) > 1


def _differ(runs: Iterable[Run], key: str) -> bool:
    return len({run.value(key) for run in runs}) > 1


def _is_function(runs: list[Run], key: str, sources: list[str]) -> bool:
    """Whether runs that are equal in all sources are equal in the key."""
    groups = _grouped(runs, lambda run: tuple(run.value(source) for source in sources))
    return bool(sources) and not any(_differ(group, key) for group in groups)


def _part(run: Run, name: str) -> str:
    value = run.record.identity.get(name)
    text = value if isinstance(value, str) else json.dumps(value)
    return text[:12]


def _grouped(runs: Iterable[Run], key: Callable[[Run], Hashable]) -> list[list[Run]]:
    """The runs with the same key together, in order of first appearance."""
    groups: dict[Hashable, list[Run]] = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    return list(groups.values())
