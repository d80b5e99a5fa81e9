"""Training curves, a figure per loss."""

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ablations.records.record import DIVERGED, Record
from ablations.status.status import STALE
from ablations.study.cell import Cell
from reports.figures.illustration import Illustrated, drawn
from reports.plots.training import Panel, Trace, training_curves
from reports.results import provenance
from reports.results.colours import SOFT
from reports.results.labels import (
    HEADLINE,
    LOSSES,
    STALE_COLOUR,
    axis_text,
    other_detector,
    setting_colour,
    setting_text,
    short_name,
)
from reports.results.load import Results
from reports.statistics.contenders import value_at
from reports.statistics.inference import window_medians
from reports.text.sentences import counted

CURVE, FIRST_STAGE_CURVE = "loss_cls", "loss_rpn_cls"
"""The drawn entries of a record's curves; the second exists for two-stage detectors."""

CURVE_POINTS = 100
"""The maximum number of points of a training curve."""

MAX_LABELS = 14
"""The number of labelled lines of a figure."""

KINDS = {"curves": "training images", "validation": "validation images"}
"""Entry of a record -> title of its panel."""

REFERENCE_DASHES = (0, (5, 2))

_NETWORK = "depth", "scale", "num_scales", "num_aspect_ratios", "schedule"


@dataclass(frozen=True)
class _Group:
    """Runs of a setting that are drawn as one line: all done, all stale, or one that diverged."""

    values: Mapping[str, Any]
    state: str
    records: list[Record]

    @property
    def family(self) -> str:
        """The loss or the other detector, and the mining."""
        mining = self.values.get("ohem")
        texts = [short_name(self.values), axis_text("ohem", mining) if mining else ""]
        return ", ".join(filter(None, texts))

    @property
    def stem(self) -> str:
        """Its family's part of a file name."""
        names = (self.values.get("detector") or self.values.get("loss"), self.values.get("ohem"))
        return re.sub(r"\W+", "_", "_".join(str(name) for name in names if name))

    @property
    def network(self) -> tuple:
        """The values of the axes of network, image size and schedule."""
        return tuple(self.values.get(axis) for axis in _NETWORK)

    @property
    def setting(self) -> str:
        """Its values without the schedule, which is that of the study."""
        return self.text(set(self.values) - {"schedule"})

    def text(self, axes: Collection[str]) -> str:
        """Its values of some axes, and its state."""
        values = {k: v for k, v in self.values.items() if k in axes and k != "ohem"}
        length = axis_text("schedule", values.get("schedule", 1))  # a setting leaves out 1x
        schedule = [length] if "schedule" in axes else []
        notes = [self.state] if self.state else []
        parts = [setting_text(values), *schedule, *notes]
        return ", ".join(filter(None, parts)) or short_name(self.values)


def training_figures(results: Results) -> list[Illustrated]:
    """The classification loss over iterations, a figure per loss and kind of mining."""
    groups = _groups(results)
    reference = _reference(results, groups)
    families: dict[str, list[_Group]] = {}
    for group in groups:
        families.setdefault(group.family, []).append(group)
    ranks = {label.short: number for number, label in enumerate(LOSSES.values())}
    ordered = sorted(families, key=lambda name: ranks.get(name.partition(", ")[0], len(ranks)))
    return [_family(results, name, families[name], reference) for name in ordered]


def _family(
    results: Results, name: str, groups: Sequence[_Group], reference: _Group | None
) -> Illustrated:
    labelled = _labelled(groups, reference)
    axes, all_axes = _varied(labelled), _varied(groups) | {*_axes(groups)} - {"schedule"}
    records = [record for group in groups for record in group.records]
    is_validated = any(_curve(record, "validation", CURVE)[0] for record in records)
    panels, window, ends = [], 1, []
    for kind, title in KINDS.items():
        traces = []
        if reference is not None and reference not in groups:
            traces += _traces(reference, kind, f"{reference.family}, {reference.setting}", True)[0]
        for group in groups:
            text = group.text(axes) if group in labelled else ""
            group_traces, points = _traces(group, kind, text, group is reference)
            traces, window = traces + group_traces, max(window, points)
            ends += [
                f"{group.text(all_axes)}: {trace.loss[-1]:.3g}" for trace in group_traces[:1]
                if kind == "validation" or not is_validated
            ]  # fmt: skip
        if any(len(trace.loss) for trace in traces):
            panels.append(Panel(title, traces))
    if not panels:
        return Illustrated(None, f"No run of {name} has a training curve.")
    diverged = sum(group.state == DIVERGED for group in groups)
    note = f"{name}: classification loss of {counted(len(records), 'run')}"
    note += ", means over the seeds of a setting" if len(records) > len(groups) else ""
    note += f", medians over {window} points" if window > 1 else ""
    note += "; a cross marks a divergence" if diverged else ""
    thin = sum(group not in labelled for group in groups)
    note += f"; {counted(thin, 'thin line')} without a label" if thin else ""
    if reference is not None:
        note += f"; dashed grey: the reference, {reference.family}, {reference.setting}"
    if any(other_detector(group.values) for group in groups):
        note += "; dotted: the objectness loss of the region proposal network"
    return Illustrated(
        drawn(
            f"training_{groups[0].stem}",
            f"Classification loss over iterations, {name}; {counted(diverged, 'run')} diverged. "
            f"Last values of the drawn curves: {'; '.join(ends)}.",
            training_curves,
            panels,
            "classification loss",
        ),
        f"{note}. Curves of different losses, α or γ have different scales: compare the shapes. "
        f"{provenance.caption(results, records)}.",
    )


def _groups(results: Results) -> list[_Group]:
    """The runs with a curve, in the order of the study."""
    groups: dict[tuple, _Group] = {}
    for cell in results.study.cells():
        record = results.records.get(cell.id)
        if record is None or not any(_curve(record, kind, CURVE)[0] for kind in KINDS):
            continue
        state = _state(results, cell, record)
        key = (cell.setting.id, state, cell.seed if state == DIVERGED else None)
        group = groups.setdefault(key, _Group(cell.setting.as_dict(), state, []))
        group.records.append(record)
    return list(groups.values())


def _state(results: Results, cell: Cell, record: Record) -> str:
    if record.status == DIVERGED:
        return DIVERGED
    return STALE if results.status.states.get(cell) == STALE else ""


def _reference(results: Results, groups: Sequence[_Group]) -> _Group | None:
    """The runs of the headline's reference row."""
    for grid in results.study.grids:
        if grid.name == HEADLINE and grid.reference is not None:
            values = grid.rows[grid.reference].setting.as_dict()
            return next(
                (group for group in groups if group.values == values and not group.state), None
            )
    return None


def _labelled(groups: Sequence[_Group], reference: _Group | None) -> list[_Group]:
    """The runs with the most frequent network and the diverged ones: as many as can be read."""
    usual = Counter(group.network for group in groups).most_common(1)[0][0]
    plain = [group for group in groups if group.network == usual or group.state == DIVERGED]
    ranked = sorted(plain, key=lambda group: (group is not reference, group.state != DIVERGED))
    return ranked[:MAX_LABELS]


def _varied(groups: Sequence[_Group]) -> set[str]:
    """The axes in which these groups differ."""
    return {axis for axis in _axes(groups) if len({group.values.get(axis) for group in groups}) > 1}


def _axes(groups: Sequence[_Group]) -> set[str]:
    return {axis for group in groups for axis in group.values}


def _traces(group: _Group, kind: str, label: str, is_reference: bool) -> tuple[list[Trace], int]:
    """The mean over the runs of a group, a line per stage, and the points per median."""
    other = other_detector(group.values)
    entries: list[tuple[str, str | tuple, str]] = [(CURVE, "-", label)]
    entries += [(FIRST_STAGE_CURVE, (0, (1, 1)), "")] if other else []
    traces, longest = [], 1
    for entry, dashes, text in entries:
        curves = [_curve(record, kind, entry) for record in group.records]
        iterations = next((x for x, _ in curves if x), None)
        if iterations is None:
            continue
        mean = np.mean([y for x, y in curves if x == iterations], axis=0)
        x, y, window = window_medians(iterations, list(mean), CURVE_POINTS)
        longest = max(longest, window)
        colour = STALE_COLOUR if group.state == STALE else setting_colour(group.values)
        if is_reference:
            colour, dashes = SOFT.light, REFERENCE_DASHES
        traces.append(Trace(text, x, y, colour, dashes, group.state == DIVERGED))
    return traces, longest


def _curve(record: Record, of: str, entry: str) -> tuple[list[float], list[float]]:
    """Iterations and a loss, without non-finite values.

    Args:
        record: the record of the run.
        of: "curves" (training) or "validation".
        entry: ``CURVE`` or ``FIRST_STAGE_CURVE``.
    """
    iterations, losses = (value_at(record, of, key) or () for key in ("iteration", entry))
    if not all(isinstance(values, list) for values in (iterations, losses)):
        return [], []
    pairs = [
        (x, y)
        for x, y in zip(iterations, losses, strict=False)
        if isinstance(y, int | float) and math.isfinite(y)
    ]
    return [iteration for iteration, _ in pairs], [loss for _, loss in pairs]
