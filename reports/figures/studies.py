"""The figures that combine several tables."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from ablations.records.record import DIVERGED
from ablations.study.axes import MODEL_AXES
from ablations.study.grid import Grid, Row
from reports.figures.grids import (
    curves,
    curves_over,
    loss_of,
    panel,
    published_panel,
)
from reports.figures.illustration import MARKERS, Illustrated, drawn
from reports.plots.curves import Curve, ap_over_ms, ap_over_scale
from reports.plots.heat_maps import HeatMap, heat_maps
from reports.plots.svg import MARK
from reports.results import provenance
from reports.results.labels import (
    BASELINE,
    CANDIDATE,
    LOSSES,
    MAIN_METRIC,
    METRICS,
    SPEED,
    axis_label,
    axis_text,
    loss_label,
    other_detector,
    setting_text,
)
from reports.results.load import Results
from reports.tables.grids import GridTable
from reports.tables.speed import NOT_MEASURED, hidden_names
from reports.text.sentences import CI, listed

Tables = Sequence[tuple[Grid, GridTable]]
"""The grids of a study and their tables."""

HEAT_MAPS = "alpha_gamma"
"""The name of the figure of the heat maps."""

DIVERGED_MARK = "×"

_DASHES = ("-", "--", ":", "-.")


def speed_figure(results: Results, tables: Tables) -> Illustrated:
    """AP over speed of all timed tables with the Pareto front, and the published values."""
    timed = [(grid, table) for grid, table in tables if SPEED in table.metrics]
    ours = _distinct([(grid, *of) for grid, table in timed for of in curves(grid, table)])
    if not ours:
        return Illustrated(None, f"No table has both AP and speed yet. {NOT_MEASURED}")
    published = published_panel(timed)
    records = [r for grid, _ in timed for r in results.ended_records_of(results.of_grid(grid))]
    points = [
        f"{curve.label}, {note}: {y:.1f} at {x:.1f} ms"
        for curve in ours
        for x, y, note in zip(curve.x, curve.y, curve.notes, strict=True)
    ]
    sources = dict.fromkeys(grid.source for grid, _ in timed if grid.source)
    setups = dict.fromkeys(grid.setup for grid, _ in timed if grid.setup)
    note = f"{MAIN_METRIC} against {METRICS[SPEED].header}"
    note += _over_seeds(results, [grid for grid, _ in timed])
    note += (
        f". Horizontal bars: {CI} of the time. The dotted line of each panel is its Pareto front."
    )
    if hidden := hidden_names(results):
        note += f" Not drawn, because the machine was too busy: {listed(hidden)}."
    if published:
        note += (
            f" The lower panel shows published values ({'; '.join(setups)}) from other data and "
            "other hardware: compare the shapes, not the values. Sources: "
            f"{'; '.join(sources)}, and its figure 2 for the other detectors."
        )
    return Illustrated(
        drawn(
            "ap_over_speed",
            f"{MAIN_METRIC} over time per image. Ours: {'; '.join(points)}.",
            ap_over_ms,
            [panel("ours", ours), *published],
        ),
        f"{note} {provenance.caption(results, records)}.",
    )


def ap_over_scale_figure(results: Results, tables: Tables) -> Illustrated:
    """AP over the input scale with intervals, a line per loss and depth."""
    scaled = [(grid, table) for grid, table in tables if "scale" in grid.columns]
    of_tables = []
    for grid, table in scaled:
        of_tables += [
            (grid, row, curve) for row, curve in curves_over("scale", grid, table, _scale)
        ]
    if not of_tables:
        return Illustrated(None, "No table that varies the input scale has a result yet.")
    lines = _distinct(of_tables)
    records = [r for grid, _ in scaled for r in results.ended_records_of(results.of_grid(grid))]
    points = [
        f"{line.label}: "
        + ", ".join(f"{y:.1f} at {x:g} px" for x, y in zip(line.x, line.y, strict=True))
        for line in lines
    ]
    note = f"{MAIN_METRIC} against the short edge of the input"
    note += _over_seeds(results, [grid for grid, _ in scaled])
    if len(lines) > 1 and any(np.isfinite(line.low).any() for line in lines):
        note += "; points of equal size are drawn side by side"
    return Illustrated(
        drawn(
            "ap_over_scale",
            f"{MAIN_METRIC} over input scale. {'; '.join(points)}.",
            ap_over_scale,
            lines,
        ),
        f"{note}. {provenance.caption(results, records)}.",
    )


def _scale(row: Row) -> float | None:
    return row.ours.get("scale", row.values.get("scale"))


def heat_maps_figure(results: Results) -> Illustrated:
    """Mean AP over alpha and gamma of FL and FL*, at the study's own model and data.

    gamma = 0 is the cross entropy in both.
    """
    of_losses = cells_of_maps(results)
    if not of_losses:
        return Illustrated(None, "No setting of FL or FL* has a result yet.")
    maps, texts = [], []
    for loss, of_loss in of_losses.items():
        heat_map, words = _heat_map(of_loss, loss)
        maps.append(heat_map)
        texts += words
    cells = pd.concat(of_losses.values()).drop_duplicates("cell").sort_index()
    several = (cells["seed"] > cells["seed"].min()).any()
    note = f"{MAIN_METRIC} (%) for each α and γ"
    fresh = " (without the fresh seeds of tuned rows)" if results.cells["judged"].any() else ""
    note += f", mean over all seeds of a setting{fresh}" if several else ""
    note += ", of all settings with the study's own model and data"
    note += "; γ = 0 is the cross entropy in both" if len(maps) > 1 else ""
    note += "; both maps share a colour scale" if len(maps) > 1 else ""
    note += ". A dot marks a setting that is not in the study"
    if any(np.any(np.asarray(heat_map.planned) & np.isnan(heat_map.values)) for heat_map in maps):
        note += ", a hatched cell a setting without a result"
    if any(mark for heat_map in maps for row in heat_map.marks for mark in row):
        note += f", {DIVERGED_MARK} a setting with a diverged run, which counts as 0.0"
    return Illustrated(
        drawn(
            HEAT_MAPS,
            f"{MAIN_METRIC} for each α and γ. {'; '.join(texts)}.",
            heat_maps,
            maps,
            axis_label("gamma").header,
            axis_label("alpha").header,
        ),
        f"{note}. {provenance.caption(results, results.ended_records_of(cells))}.",
    )


def cells_of_maps(results: Results) -> dict[str, pd.DataFrame]:
    """Loss -> the runs in its heat map, those of the cross entropy among them."""
    cells = results.cells[~results.cells["judged"]]
    other_axes = [*MODEL_AXES, "prior", "beta", "weight_cap"]
    cells = cells[cells[other_axes].isna().all(axis=1)]
    of_losses = {loss: cells[cells["loss"].isin(("ce", loss))] for loss in (BASELINE, CANDIDATE)}
    return {
        loss: of_loss
        for loss, of_loss in of_losses.items()
        if (of_loss["loss"] == loss).any() and of_loss[MAIN_METRIC].notna().any()
    }


def mark_of(loss: str, gamma: float, alpha: float | None) -> str:
    """The id of a cell of a loss's heat map."""
    at = (axis_text("gamma", gamma), axis_text("alpha", alpha))
    return MARK + "-".join((loss, *at))


def _heat_map(cells: pd.DataFrame, loss: str) -> tuple[HeatMap, list[str]]:
    """The map of a loss, and its values as text."""
    short = loss_label(loss).short
    gammas = sorted({float(g) if g is not None and not pd.isna(g) else 0.0 for g in cells["gamma"]})
    alphas: list[float | None] = [*sorted({float(a) for a in cells["alpha"].dropna()})]
    alphas += [None] if cells["alpha"].isna().any() else []
    shape = len(gammas), len(alphas)
    values, planned = np.full(shape, np.nan), np.zeros(shape, bool)
    marks, texts = np.full(shape, "", dtype=object), []
    for (gamma, alpha), runs in cells.groupby(["gamma", "alpha"], dropna=False, sort=False):
        alpha = None if pd.isna(alpha) else float(alpha)
        at = gammas.index(0.0 if pd.isna(gamma) else float(gamma)), alphas.index(alpha)
        values[at], planned[at] = runs[MAIN_METRIC].mean(), True
        if (runs["state"] == DIVERGED).any():
            marks[at] = DIVERGED_MARK
        value = "no value" if math.isnan(values[at]) else f"{values[at]:.1f}{marks[at]}"
        texts.append(f"{short}, {setting_text({'gamma': gammas[at[0]], 'alpha': alpha})}: {value}")
    return (
        HeatMap(
            short,
            [axis_text("gamma", gamma) for gamma in gammas],
            [axis_text("alpha", alpha) for alpha in alphas],
            values.tolist(),
            marks.tolist(),
            planned.tolist(),
            [[mark_of(loss, gamma, alpha) for alpha in alphas] for gamma in gammas],
        ),
        texts,
    )


def _distinct(of_tables: Sequence[tuple[Grid, Row, Curve]]) -> list[Curve]:
    """Curves of several tables for one panel: labels with the loss, distinct markers and dashes.

    Another detector may be in several tables and is drawn once.
    """
    several = len({loss_of(grid, row) for grid, row, _ in of_tables} - {""}) > 1
    named: list[Curve] = []
    for grid, row, curve in of_tables:
        loss, other = loss_of(grid, row), other_detector(row.setting.as_dict())
        label = ", ".join(filter(None, (loss if several else "", curve.label))) or loss
        if other and label in {one.label for one in named}:
            continue
        number = len(named)
        dashes = _DASHES[number % len(_DASHES)]
        named.append(
            replace(
                curve,
                label=label,
                marker=MARKERS[number % len(MARKERS)],
                dashes=dashes,
                filled=bool(other) or _order(row) % 2 == 1,
            )
        )
    return named


def _order(row: Row) -> int:
    """The position of a row's loss in ``LOSSES``, 0 for others."""
    loss = row.setting.as_dict().get("loss")
    return list(LOSSES).index(loss) if loss in LOSSES else 0


def _over_seeds(results: Results, grids: Sequence[Grid]) -> str:
    """A description of the bars if a table has several seeds."""
    seeds = max(results.of_grid(grid)["seed"].nunique() for grid in grids)
    return "" if seeds == 1 else f", means over up to {seeds} seeds with their {CI}"
