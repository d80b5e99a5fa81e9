"""The report's words that depend on numbers: plain text, escaped where it is shown."""

import math

import pandas as pd

from ablations.cell import AXES
from ablations.record import DIVERGED, DONE
from reports.labels import MAIN_METRIC, loss_label, setting_text
from reports.load import MISSING, Results
from reports.provenance import dataset_name
from reports.statistics import Agreement, pooled_spread
from reports.tables import GridTable, percent

SAME_ORDER = "1 is the same order, 0 no relation, −1 the reverse"


def title(results: Results) -> str:
    """The study's own title, unless it was run on other data than that speaks of."""
    name = dataset_name(results)
    if name == results.study.dataset:
        return results.study.title
    return f"{results.study.name} on {name}"


def summary(results: Results) -> str:
    """Which study, on what, how much of it, and how many seeds."""
    counts = results.counts
    states = [f"{counts[DONE]} done"]
    states += [f"{n} {state}" for state, n in counts.items() if state != DONE and n]
    total, seeds = sum(counts.values()), len(results.study.seeds)
    return (
        f"The study {results.study.name} trains {counted(total, 'cell')} on "
        f"{dataset_name(results)}, every setting with {counted(seeds, 'seed')}: "
        f"{', '.join(states)}."
    )


def seeds_warning(results: Results) -> str:
    """What the number of seeds allows to say."""
    if len(results.study.seeds) == 1:
        return (
            "Each number is one training run. The spread between seeds is unknown, so a "
            "difference between two of them is not a finding."
        )
    return (
        "Means over few seeds with their sample standard deviation. No difference has been tested "
        "for significance."
    )


def best_settings(results: Results) -> list[dict[str, str]]:
    """The setting of highest mean AP of each loss, over all tables, with what it was chosen from.

    Returns:
        A dictionary per loss: ``loss``, ``setting``, ``AP`` (± spread if there are several
        seeds), ``seeds`` (n of m, and how many of them diverged) and ``settings`` (how many have
        a result).
    """
    cells, best = results.cells, []
    axes = list(AXES)
    for loss, of_loss in cells.groupby("loss", sort=False):
        of_loss = of_loss.assign(diverged=of_loss["state"] == DIVERGED)
        groups = of_loss.groupby(axes, sort=False, dropna=False)
        found = groups[MAIN_METRIC].agg(["mean", "std", "count", "size"])
        found["diverged"] = groups["diverged"].sum()
        found = found.dropna(subset="mean").reset_index()
        if found.empty:
            continue
        top = found.loc[found["mean"].idxmax()]
        setting = {axis: top[axis] for axis in axes if axis != "loss" and pd.notna(top[axis])}
        spread = percent(top["std"])
        best.append(
            {
                "loss": loss_label(loss).short,
                "setting": setting_text(setting),
                "AP": percent(top["mean"]) + (f" ± {spread}" if spread else ""),
                "seeds": f"{top['count']} of {top['size']}"
                + (f", {top['diverged']} diverged" if top["diverged"] else ""),
                "settings": str(len(found)),
            }
        )
    return best


def under_table(frame: pd.DataFrame, published_setup: str = "") -> str:
    """How many seeds a table's rows have, what that means, and how it compares.

    Args:
        frame: a grid's part of ``Results.frame``.
        published_setup: what the published values beside ours were measured on; empty: there are
            none.
    """
    seeds = frame["seed"].nunique()
    if seeds == 1:
        text = (
            "One seed per row: each number is a single run, its spread is unknown, and no "
            "difference between rows is claimed."
        )
    else:
        text = (
            f"Mean ± sample standard deviation over up to {seeds} seeds. {_noise_floor(frame)} "
            "No difference between rows has been tested."
        )
    if (frame["state"] == DIVERGED).any():
        text += " A run that diverged counts as AP 0.0."
    if published_setup:
        text += (
            f" The published values are of another experiment ({published_setup}): only the order "
            "of the rows can be compared, not the numbers."
        )
    return text


def agreement(found: Agreement) -> str:
    """Kendall's tau-b between our AP and the published, in words."""
    left_out = (
        f"; {counted(found.left_out, 'row')} without a value left out" if found.left_out else ""
    )
    if found.tau is None:
        return (
            f"Kendall's τ-b between our AP and the published AP is undefined: {found.undefined} "
            f"({counted(found.n, 'row')} compared{left_out})."
        )
    p_value = "p < 0.001" if found.p_value < 0.001 else f"p = {found.p_value:.3f}"
    return (
        f"Order of the rows against the published order: Kendall's τ-b = {signed(found.tau)} "
        f"({p_value}, {counted(found.n, 'row')}{left_out})."
    )


def orders(agreements: dict[str, Agreement]) -> str:
    """How far the tables have the published order; "" where none can be compared.

    Args:
        agreements: name of a table -> its agreement.
    """
    known = [
        f"{signed(found.tau)} in table {name}"
        for name, found in agreements.items()
        if found.tau is not None
    ]
    if not known:
        return ""
    return (
        f"Agreement with the published order of the rows, as Kendall's τ-b: {', '.join(known)} "
        f"({SAME_ORDER})."
    )


def dots_caption(frame: pd.DataFrame, has_published: bool) -> str:
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


def dots_alternative(table: GridTable) -> str:
    """The figure of a table in words: every value."""
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


def curves_alternative(table: GridTable, frame: pd.DataFrame) -> str:
    """The training curves of a table in words."""
    diverged = (frame["state"] == DIVERGED).sum()
    absent = (frame["state"] == MISSING).sum()
    rows = counted(len(table.texts), "row")
    return (
        f"Classification loss over iterations, a panel for each of {rows} of the table; "
        f"{counted(diverged, 'run')} diverged, {absent} missing."
    )


def counted(number: int, noun: str) -> str:
    """For example ``1 seed``, ``3 seeds``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def signed(value: float) -> str:
    """Two decimals with a true minus sign."""
    return f"{value:.2f}".replace("-", "−")


def duration(seconds: float) -> str:
    """For example ``41 s``, ``12 min 5 s`` or ``3 h 2 min``; "" for NaN."""
    if math.isnan(seconds):
        return ""
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 100:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


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
