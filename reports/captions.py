"""What stands under a table and its figures: plain text, escaped where it is shown."""

import pandas as pd

from ablations.grid import Grid
from ablations.record import DIVERGED, Record
from ablations.status import ENDED, MISSING, STALE
from reports import provenance
from reports.labels import MAIN_METRIC, METRICS, SPEED, axis_label, loss_label
from reports.load import Results
from reports.rows import translation
from reports.sentences import counted, listed
from reports.statistics import pooled_spread
from reports.tables import STALE_MARK, GridTable


def under_table(results: Results, grid: Grid, table: GridTable) -> str:
    """What the seeds allow to say, what is in the columns, and how it compares."""
    frame = results.of_grid(grid)
    sentences = [_over_seeds(frame)]
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
    sentences.append(translation(grid))
    if SPEED in table.metrics:
        sentences.append(_timing(results.records_of(frame[frame["state"].isin(ENDED)])))
    return " ".join(filter(None, sentences))


def dots(frame: pd.DataFrame, has_published: bool) -> str:
    """What the marks in the figure of a table's AP mean."""
    losses = [loss_label(loss) for loss in frame["loss"].dropna().unique()]
    text = f"{MAIN_METRIC} of each row"
    if frame["seed"].nunique() > 1:
        text += ", mean over seeds with bars of ± one sample standard deviation"
    if has_published:
        text += "; each side has its own scale"
    if len(losses) > 1:
        text += f"; {', '.join(f'{loss.short} is {loss.colour_name}' for loss in losses)}"
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


def _over_seeds(frame: pd.DataFrame) -> str:
    """What the number of seeds of a table's rows means."""
    seeds = frame["seed"].nunique()
    if seeds == 1:
        return (
            "One seed per row: each number is a single run, its spread is unknown, and no "
            "difference between rows is claimed."
        )
    return (
        f"Mean ± sample standard deviation over up to {seeds} seeds. {_noise_floor(frame)} "
        "No difference between rows has been tested."
    )


def _noise_floor(frame: pd.DataFrame) -> str:
    """The pooled spread of the rows without a diverged run, whose 0.0 is no noise."""
    pooled = pooled_spread(
        [
            row[MAIN_METRIC].dropna().to_list()
            for _, row in frame.groupby("row")
            if not (row["state"] == DIVERGED).any()
        ]
    )
    if pooled is None:
        return "The noise floor is unknown: no row has two runs that ended well."
    rows, degrees = counted(pooled.groups, "row"), counted(pooled.degrees_of_freedom, "degree")
    return (
        f"Noise floor: a pooled standard deviation of {pooled.sd:.1f} AP ({rows}, {degrees} of "
        "freedom)."
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
