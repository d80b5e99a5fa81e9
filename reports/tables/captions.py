"""What stands under a table and its figures: plain text, escaped where it is shown."""

import pandas as pd

from ablations.records.record import DIVERGED, Record
from ablations.status.status import ENDED, MISSING, STALE
from ablations.study.grid import Grid
from reports.results import provenance
from reports.results.labels import (
    MAIN_METRIC,
    METRICS,
    SPEED,
    DetectorLabel,
    axis_label,
    detector_label,
    loss_label,
)
from reports.results.load import Results
from reports.results.rows import translation
from reports.statistics.comparisons import (
    SEEDS_AND_IMAGES,
    Comparison,
    NoiseFloor,
    compare,
    noise_floor,
)
from reports.statistics.inference import CONFIDENCE, SIGNIFICANCE
from reports.tables.grids import STALE_MARK, GridTable
from reports.text.sentences import counted, listed, tables, untested


def under_table(results: Results, grid: Grid, table: GridTable) -> str:
    """What the seeds allow to say, what is in the columns, and how it compares."""
    frame = results.of_grid(grid)
    sentences = [_over_seeds(results, grid, table)]
    if (frame["state"] == DIVERGED).any():
        sentences.append("A run that diverged counts as AP 0.0.")
    if any(table.stale):
        sentences.append(f"{STALE_MARK} marks what a stale record says: it counts nowhere.")
    if table.has_published:
        sentences.append(
            f"The published values are of another experiment ({grid.setup}): only the order of "
            "the rows can be compared, not the numbers."
        )
        left_out = [METRICS[m].header for m in table.metrics if m not in table.compared]
        if left_out:
            sentences.append(f"The published {listed(left_out)} are in the CSV.")
    sentences.append(_other_detectors(frame))
    sentences.append(translation(grid))
    if SPEED in table.metrics:
        sentences.append(_timing(results.records_of(frame[frame["state"].isin(ENDED)])))
    return " ".join(filter(None, sentences))


def dots(frame: pd.DataFrame, has_published: bool) -> str:
    """What the marks in the figure of a table's AP mean."""
    losses = [loss_label(loss) for loss in frame["loss"].dropna().unique()]
    text = f"{MAIN_METRIC} of each row"
    if frame["seed"].nunique() > 1:
        share = f"{100 * CONFIDENCE:g} %"
        text += f", mean over seeds, with its {share} interval over {SEEDS_AND_IMAGES}"
    if has_published:
        text += "; each side has its own scale"
    if len(losses) > 1:
        text += f"; {', '.join(f'{loss.short} is {loss.colour_name}' for loss in losses)}"
    text += "".join(f"; {one.name} is {one.colour_name}" for one in _detectors(frame))
    return text + "."


def speed(grid: Grid, table: GridTable) -> str:
    """What the figure of a table's AP over its speed shows."""
    known = table.values[[MAIN_METRIC, SPEED]].notna().all(axis=1)
    *others, last = (axis_label(column).header for column in grid.columns)
    return (
        f"{MAIN_METRIC} over {METRICS[SPEED].header}, joined over the {last}, which is beside the "
        f"points, for each {' and '.join(others)}; {known.sum()} of {counted(len(known), 'row')} "
        "with both numbers" + ("; each side has its own scales." if table.has_published else ".")
    )


def curves(frame: pd.DataFrame, window: int) -> str:
    """How the training curves of a table are drawn; "" where each is shown as it is."""
    sentences = [f"Medians over {window} points."] if window > 1 else []
    sentences += [
        f"Of {one.name}, a detector in two stages, the darker line is of the second stage, and the "
        "lighter one of its proposals."
        for one in _detectors(frame)
    ]
    if (frame["state"] == STALE).any():
        sentences.append("Light grey is of stale records.")
    return " ".join(sentences)


def dots_alternative(table: GridTable) -> str:
    """The figure of a table's AP in words: every value."""
    parts = []
    for label, ours, theirs, status in zip(
        table.row_labels,
        table.texts[MAIN_METRIC],
        table.texts[f"{MAIN_METRIC}_published"],
        table.texts["status"],
        strict=True,
    ):
        text = f"{label}: {ours or 'no value'}"
        text += f" ({status})" if status else ""
        parts.append(text + (f", published {theirs}" if theirs else ""))
    return f"Dots of {MAIN_METRIC} for each row of the table. " + "; ".join(parts) + "."


def speed_alternative(table: GridTable) -> str:
    """The figure of a table's AP over its speed in words: every point of ours."""
    points = [
        f"{label}: {ap} at {ms}"
        for label, ap, ms, known in zip(
            table.row_labels,
            table.texts[MAIN_METRIC],
            table.texts[SPEED],
            table.values[[MAIN_METRIC, SPEED]].notna().all(axis=1),
            strict=True,
        )
        if known
    ]
    return f"Curves of {MAIN_METRIC} over {METRICS[SPEED].header}. " + "; ".join(points) + "."


def curves_alternative(table: GridTable, frame: pd.DataFrame) -> str:
    """The training curves of a table in words."""
    diverged = (frame["state"] == DIVERGED).sum()
    absent = (frame["state"] == MISSING).sum()
    rows = counted(len(table.texts), "row")
    return (
        f"Classification loss over iterations, a panel for each of {rows} of the table; "
        f"{counted(diverged, 'run')} diverged, {absent} missing."
    )


def _detectors(frame: pd.DataFrame) -> list[DetectorLabel]:
    """Those of a table's rows that are not RetinaNet."""
    return [detector_label(name) for name in frame["detector"].dropna().unique()]


def _other_detectors(frame: pd.DataFrame) -> str:
    """That some rows are not of RetinaNet, and what they have in common; "" where none is."""
    names = [one.name for one in _detectors(frame)]
    if not names:
        return ""
    return (
        f"The rows of {listed(names)} are of another detector, which has no focal loss: trained on "
        "the same data from the same initial weights of the same backbone, with the same optimizer "
        "and schedule."
    )


def _over_seeds(results: Results, grid: Grid, table: GridTable) -> str:
    """What the number of seeds of a table's rows means, and which differences are tested."""
    seeds = results.of_grid(grid)["seed"].nunique()
    floor = _noise_floor(noise_floor(results, grid))
    if seeds == 1:
        return (
            "One seed per row: each number is a single run, its spread is unknown, and no "
            f"difference between rows is claimed. {floor}"
        )
    text = f"Mean ± sample standard deviation over up to {seeds} seeds. {floor}"
    return f"{text} {_tests(grid, table, compare(results, grid))}"


def _tests(grid: Grid, table: GridTable, found: list[Comparison]) -> str:
    """Which differences are tested, against which row, and what bold and grey mean."""
    if not any(comparison.tested for comparison in found):
        reasons = list(dict.fromkeys(c.why_not for c in found if c.why_not))
        why = f": {'; '.join(reasons)}" if reasons else ""
        return f"No difference between rows has been tested{why}."
    sentences = [
        f"Reference row: {table.row_labels[grid.reference]}. Bold: the difference to the reference "
        f"row survives Holm's correction at {100 * SIGNIFICANCE:g} %; grey: it does not. "
        f"Intervals: {100 * CONFIDENCE:g} %, over {SEEDS_AND_IMAGES}, of each row alone.",
        untested(table.row_labels, found),
    ]
    return " ".join(filter(None, sentences))


def _noise_floor(floor: NoiseFloor | None) -> str:
    """The pooled spread of the rows without a diverged run, whose 0.0 is no noise."""
    if floor is None:
        return "The noise floor is unknown: no row has two runs that ended well."
    spread = floor.spread
    of = counted(spread.groups, "row")
    if floor.tables:
        of = f"{counted(spread.groups, 'setting')} of {tables(floor.tables)}"
    two = "two single runs" if floor.seeds == 1 else f"two rows of {floor.seeds} seeds each"
    return (
        f"Noise floor: a pooled standard deviation of {spread.sd:.1f} {MAIN_METRIC} ({of}, "
        f"{counted(spread.degrees_of_freedom, 'degree')} of freedom); {two} must differ by more "
        f"than {floor.least_difference:.1f} {MAIN_METRIC} to exceed it."
    )


def _timing(records: list[Record]) -> str:
    """What was timed, and on what; "" if nothing was."""
    timed = [record for record in records if record.run.get(SPEED) is not None]
    if not timed:
        return ""
    images, left_out = (
        ", ".join(provenance.distinct(record.run.get(name) for record in timed))
        for name in ("timed_images", "warmup_images")
    )
    counts = f" over {images} images" if images else ""
    counts += f" after {left_out} for warm-up" if left_out else ""
    return (
        f"{METRICS[SPEED].header}: the median{counts} of a call of the model on one image, from "
        "memory to its boxes, without reading and resizing it; measured on "
        f"{provenance.hardware(timed) or 'unknown hardware'}, while other cells of the study ran "
        "beside it."
    )
