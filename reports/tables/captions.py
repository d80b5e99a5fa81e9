"""Captions and notes of a grid's table and figures: plain text, escaped where it is shown."""

import math
from collections.abc import Sequence

import pandas as pd

from ablations.records.record import DIVERGED
from ablations.study.asked_seeds import MAX_SEEDS
from ablations.study.grid import Grid
from reports.results.differences import Differences
from reports.results.labels import (
    MAIN_METRIC,
    METRICS,
    SPEED,
    DetectorLabel,
    axis_label,
    detector_label,
    loss_label,
    with_true_minus,
)
from reports.results.load import Results
from reports.results.rows import row_label, translation
from reports.statistics.comparisons import SEEDS_AND_IMAGES, Comparison
from reports.statistics.inference import SIGNIFICANCE
from reports.statistics.noise import NoiseFloor, noise_floor
from reports.tables import speed as speed_tables
from reports.tables.grids import STALE_MARK, GridTable
from reports.text.sentences import CI, MODEL, counted, listed, tables, untested

MAX_KEYS = 6
"""The maximum number of derived keys that a note names; it counts the others."""


def under_table(results: Results, grid: Grid, table: GridTable) -> str:
    """The note under a table: seeds and tests, marks, published values, detectors, timing."""
    frame = results.of_grid(grid)
    sentences = [_over_seeds(results, grid, table)]
    if (frame["state"] == DIVERGED).any():
        sentences.append(f"A run that diverged counts as {MAIN_METRIC} 0.0.")
    if any(table.stale):
        sentences.append(
            f"{STALE_MARK} marks a stale record, which is excluded from every comparison."
        )
    if table.has_published:
        sentences.append(_published(results, grid, table))
        left_out = [METRICS[m].header for m in table.metrics if m not in table.compared]
        if left_out:
            sentences.append(f"The CSV file has the published {listed(left_out)}.")
    sentences += [_other_detectors(frame), translation(grid)]
    if SPEED in table.metrics:
        sentences.append(speed_tables.note(results))
    return " ".join(filter(None, sentences))


def _published(results: Results, grid: Grid, table: GridTable) -> str:
    """What can be compared with the published values."""
    if results.as_published:
        return f"The published values come from this set-up ({grid.setup})."
    text = f"The published values come from a different experiment ({grid.setup}): compare the "
    if any(map(math.isfinite, table.published_effects)):
        return f"{text}effects of the rows and their order, not the values."
    return f"{text}order of the rows, not the values."


def how_to_read(margin: float) -> str:
    """The meaning of the marks in all tables with tests, for a margin of equivalence in AP."""
    return (
        f"The effect of a row is its {MAIN_METRIC} minus that of the reference row of its table, "
        f"with a {CI} over {SEEDS_AND_IMAGES} for this comparison alone. Bold: it is significant "
        f"at {100 * SIGNIFICANCE:g} % after Holm's correction within the table; grey: it is not, "
        f"or is not tested. Equivalent: it is significantly within ±{margin:g} {MAIN_METRIC} (two "
        "one-sided tests, also after Holm's correction). Undecided: neither significant nor "
        "equivalent; the number in parentheses is how many seeds per row would decide it, whatever "
        f"the effect is, and without a number, {MAX_SEEDS:,} would not. The p-values rest on a "
        f"{MODEL}."
    )


def compared_configs(differences: Differences) -> str:
    """The sentence on the keys in which the rows of a table differ."""
    if not differences.num_compared:
        return (
            "It is unknown whether the rows differ only in what the table names: no record "
            "contains the config of its run."
            if differences.num_runs
            else ""
        )
    if differences.num_rows < 2:
        return ""
    parts = [
        f"The rows differ in {listed(differences.named) if differences.named else 'no column'}"
    ]
    if differences.by_word:
        parts.append(f"in what the row names imply ({listed(differences.by_word)})")
    if differences.following:
        following = list(differences.following[:MAX_KEYS])
        if len(differences.following) > MAX_KEYS:
            following.append(f"{len(differences.following) - MAX_KEYS} other keys")
        parts.append(f"in what is derived from these ({listed(following)})")
    text = listed(parts)
    text += "" if differences.confounds else ", and in nothing else"
    compared = counted(differences.num_compared, "run")
    if differences.num_compared < differences.num_runs:
        compared = f"{differences.num_compared} of {counted(differences.num_runs, 'run')}"
    return f"{text} (recorded configs of {compared})."


def confounds(differences: Differences) -> str:
    """The warning about a table whose rows also differ in something else; "" without any."""
    if not differences.confounds:
        return ""
    return (
        "Confounded: the rows of this table also differ in something that it does not name: "
        f"{'; '.join(differences.confounds)}."
    )


def dots(frame: pd.DataFrame, table: GridTable) -> str:
    """The caption of the figure of a table's AP."""
    losses = [loss_label(loss) for loss in frame["loss"].dropna().unique()]
    several = frame["seed"].nunique() > 1
    text = f"{'Mean ' if several else ''}{MAIN_METRIC} of each row"
    if table.has_effects:
        text += " and its effect against the reference row"
    if several:
        text += f", with {CI} over {SEEDS_AND_IMAGES}"
    if table.has_effects:
        if any(comparison.tested for comparison in table.comparisons):
            text += ". Effects: filled if significant, else a ring"
        if any(map(math.isfinite, table.published_effects)):
            text += "; a diamond is the published effect"
    elif table.has_published:
        text += "; each panel has its own scale"
    if len(losses) > 1:
        text += f"; {', '.join(f'{loss.short} is {loss.colour_name}' for loss in losses)}"
    text += "".join(f"; {label.name} is {label.colour_name}" for label in _detectors(frame))
    return text + "."


def score_threshold(results: Results) -> str:
    """What the score threshold of RetinaNet hides; "" if the config is unknown."""
    threshold = results.config.get("MODEL.RETINANET.SCORE_THRESH_TEST")
    if threshold is None:
        return ""
    return (
        f"Detections with a score below {threshold:g} (SCORE_THRESH_TEST) are discarded before "
        "all of these measures. A loss that gives lower scores therefore keeps fewer detections "
        "and misses more objects, even if it ranks them as well as another loss."
    )


def ablation_map(shown: Sequence[tuple[Grid, GridTable]]) -> str:
    """The caption of the map of these tables."""
    halves = [grid.label for grid, _ in shown if grid.is_tuned]
    parts = [f"Mean {MAIN_METRIC} of each row, on one axis for all tables."]
    if any(table.has_published for _, table in shown):
        parts.append(
            f"A hollow tick is our {MAIN_METRIC} at the row's published rank in its table, not the "
            f"published {MAIN_METRIC}: it is on the dot where both orders agree."
        )
    if halves:
        parts.append(
            f"The values of {tables(halves)} are those of the reporting half of the images."
        )
    return " ".join(parts)


def speed(grid: Grid, table: GridTable) -> str:
    """The caption of the figure of a table's AP over its speed."""
    known = table.values[[MAIN_METRIC, SPEED]].notna().all(axis=1)
    *others, last = (axis_label(column).header for column in grid.columns)
    scales = "; each panel has its own scales" if table.has_published else ""
    return (
        f"{MAIN_METRIC} over {METRICS[SPEED].header} for each {' and '.join(others)}; the labels "
        f"of the points are the {last}; {known.sum()} of {counted(len(known), 'row')} have both "
        f"values{scales}."
    )


def dots_alternative(table: GridTable) -> str:
    """The alternative text of the figure of a table's AP: every value."""
    parts = []
    names = (MAIN_METRIC, "reference_difference", f"{MAIN_METRIC}_published",
             "reference_difference_published", "status")  # fmt: skip
    for label, *of_row in zip(table.row_labels, *(table.texts[n] for n in names), strict=True):
        ours, effect, theirs, their_effect, status = map(with_true_minus, of_row)
        text = f"{label}: {ours or 'no value'}"
        text += f" ({status})" if status else ""
        text += f", effect {effect}" if effect else ""
        text += f", published {theirs}" if theirs else ""
        parts.append(text + (f", published effect {their_effect}" if their_effect else ""))
    return f"Dot plot of {MAIN_METRIC} of each row. " + "; ".join(parts) + "."


def speed_alternative(table: GridTable) -> str:
    """The alternative text of the figure of a table's AP over its speed: every point of ours."""
    known = table.values[[MAIN_METRIC, SPEED]].notna().all(axis=1)
    rows = zip(table.row_labels, table.texts[MAIN_METRIC], table.texts[SPEED], known, strict=True)
    points = [f"{label}: {ap} at {ms}" for label, ap, ms, both in rows if both]
    return f"Curves of {MAIN_METRIC} over {METRICS[SPEED].header}. " + "; ".join(points) + "."


def _detectors(frame: pd.DataFrame) -> list[DetectorLabel]:
    """The detectors of a table's rows other than RetinaNet."""
    return [detector_label(name) for name in frame["detector"].dropna().unique()]


def _other_detectors(frame: pd.DataFrame) -> str:
    names = [one.name for one in _detectors(frame)]
    if not names:
        return ""
    return (
        f"{listed(names)} has no focal loss; it was trained on the same data with the same initial "
        "weights of the backbone, optimizer and schedule."
    )


def _over_seeds(results: Results, grid: Grid, table: GridTable) -> str:
    """The number of seeds, the noise floor and the tests."""
    seeds = results.of_grid(grid)["seed"].nunique()
    floor = _noise_floor(noise_floor(results, grid))
    if seeds == 1:
        return (
            "Each row is a single run (one seed), so differences between rows are not tested. "
            f"{floor}"
        )
    fewest = min(one.seeds for one in table.comparisons)
    number = seeds if fewest == seeds else f"up to {seeds}"
    text = f"Values are mean ± sample standard deviation over {number} seeds. {floor}"
    return f"{text} {_tests(grid, table, table.comparisons)}"


def _tests(grid: Grid, table: GridTable, comparisons: list[Comparison]) -> str:
    """The reference row, and the rows that are not tested."""
    if not any(comparison.tested for comparison in comparisons):
        reasons = list(dict.fromkeys(c.why_not for c in comparisons if c.why_not))
        why = f": {'; '.join(reasons)}" if reasons else ""
        return f"No difference between rows was tested{why}."
    per = grid.reference_per
    columns = tuple(column for column in grid.columns if column not in per)
    row = next(
        row
        for row, comparison in zip(grid.rows, comparisons, strict=True)
        if comparison.is_reference
    )
    reference = f"The reference row is {row_label(row, columns)}"
    if per:
        reference += f" with the same {listed([axis_label(column).header for column in per])}"
    return " ".join(filter(None, [f"{reference}.", untested(table.row_labels, comparisons)]))


def _noise_floor(floor: NoiseFloor | None) -> str:
    """The pooled spread of the rows without a diverged run, whose 0.0 is no noise."""
    if floor is None:
        return "The noise floor is unknown: no row has two finished runs."
    spread = floor.spread
    source = counted(spread.groups, "row")
    if floor.tables:
        source = f"{counted(spread.groups, 'setting')} of {tables(floor.tables)}"
    pair = "two single runs" if floor.seeds == 1 else f"two rows of {floor.seeds} seeds each"
    return (
        f"Noise floor: in 95 % of cases, {pair} that differ only in the seed differ by less than "
        f"{floor.least_difference:.1f} {MAIN_METRIC} (pooled standard deviation between seeds "
        f"{spread.sd:.1f} {MAIN_METRIC}; {source}, "
        f"{counted(spread.degrees_of_freedom, 'degree')} of freedom)."
        + (
            f" It was measured on {floor.other_images}; runs differ more on fewer images."
            if floor.other_images
            else ""
        )
    )
