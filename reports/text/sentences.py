"""Generated sentences about a study: plain text, escaped where it is shown."""

import math
from collections.abc import Mapping, Sequence
from itertools import chain

from ablations.records.record import DONE
from ablations.study.asked_seeds import MAX_SEEDS
from ablations.study.study import schedule_name
from reports.results import labels
from reports.results.labels import MAIN_METRIC, one_decimal, short_name, text_of, with_true_minus
from reports.results.load import Results
from reports.results.provenance import dataset_name
from reports.statistics.comparisons import EQUIVALENT, Comparison, compare
from reports.statistics.equivalence import Needed
from reports.statistics.inference import CONFIDENCE, Agreement
from reports.statistics.learning_floor import LEARNING_FLOOR_AP

CI = f"{100 * CONFIDENCE:g} % CI"
"""The name of every confidence interval."""

FOUND_NOTHING_AP = 0.05
"""AP, percent; a setting below it is shown with 0.0 AP."""


def title(results: Results) -> str:
    """The study's title; with the name of the data set if the study ran on other data."""
    name = dataset_name(results)
    if name == results.study.dataset:
        return results.study.title
    return f"{results.study.name} on {name}"


def summary(results: Results) -> str:
    """The study, the data set, the number of seeds and the number of cells in each state."""
    counts = results.counts
    states = [f"{counts[DONE]} done"]
    states += [f"{n} {state}" for state, n in counts.items() if state != DONE and n]
    runs = counted(sum(counts.values()), "training run")
    return (
        f"The study {results.study.name} has {runs} (cells) on "
        f"{dataset_name(results)}, with {seeds(results)}: {', '.join(states)}."
    )


def seeds(results: Results) -> str:
    """For example ``1 seed per setting (3 in table headline)``."""
    (usual, _), *others = _seed_numbers(results).items()
    exceptions = ", ".join(f"{n} in {tables(names)}" for n, names in others)
    return f"{counted(usual, 'seed')} per setting" + (f" ({exceptions})" if exceptions else "")


def staleness(results: Results) -> str:
    """A warning if it is unknown whether the records are stale; else ""."""
    if not (results.unchecked and results.records):
        return ""
    return f"It is unknown whether records are stale: {results.unchecked}."


def short_training(results: Results) -> str:
    """A warning that the study is shorter than 1x; "" if it is not."""
    schedule = results.study.schedule
    if schedule >= 1:
        return ""
    return (
        f"The training runs are at {schedule_name(schedule)} of the full length. The order of the "
        "rows can change with longer training, because the losses learn at different speeds."
    )


def nothing_found(results: Results) -> str:
    """A warning that names the settings whose runs found nothing, while others did; "" if none."""
    cells = results.cells[results.cells["state"] == DONE]
    found = cells.groupby("setting", sort=False)[MAIN_METRIC].mean()
    empty = [setting for setting, ap in found.items() if ap < FOUND_NOTHING_AP]
    if not empty or found.max() < LEARNING_FLOOR_AP:
        return ""
    settings = results.study.settings
    names = [
        f"{short_name(settings[one].as_dict())} ({text_of(settings[one], results.study.schedule)})"
        for one in empty
    ]
    return (
        f"Almost no detection of {listed(names)} matches an object (AP 0.0), but other settings "
        f"reach {one_decimal(found.max())} AP. Such a loss has learnt nothing, or its scores stay "
        "below the threshold of a detection (MODEL.RETINANET.SCORE_THRESH_TEST)."
    )


def seeds_warning(results: Results) -> str:
    """The conclusions that the numbers of seeds allow."""
    numbers = _seed_numbers(results)
    several = {number: names for number, names in numbers.items() if number > 1}
    deviation = "with their sample standard deviation."
    if 1 not in numbers:
        return f"Values are means over a few seeds, {deviation} {_tested(results, several)}"
    if not several:
        return (
            "Each value comes from a single run: the spread between seeds is unknown, and a "
            "difference between two values is no evidence of an effect."
        )
    where = [f"{number} seeds in {tables(names)}" for number, names in several.items()]
    return (
        f"Values are means over {listed(where)}, {deviation} {_tested(results, several)} "
        "Elsewhere, each value comes from a single run, and a difference between two values is no "
        "evidence of an effect unless it is larger than the noise floor. Each table averages its "
        "own seeds, so a setting can have different values in different tables."
    )


def untested(names: Sequence[str], comparisons: Sequence[Comparison]) -> str:
    """The rows that are not tested, with the reasons; "" if all are tested."""
    reasons: dict[str, list[str]] = {}
    for name, comparison in zip(names, comparisons, strict=True):
        if comparison.why_not:
            reasons.setdefault(comparison.why_not, []).append(name)
    return " ".join(f"Not tested ({why}): {listed(rows)}." for why, rows in reasons.items())


MODEL = "normal model of seeds and images"
"""The assumption behind every p-value."""


def difference_text(comparison: Comparison) -> str:
    """For example ``+1.2 AP (95 % CI +0.3 to +2.1, p = 0.012 in a normal model)``.

    The p-value is Holm's; an equivalent row has that of the two one-sided tests.
    """
    facts = []
    if not math.isnan(comparison.difference_low):
        low = difference_number(comparison.difference_low)
        high = difference_number(comparison.difference_high)
        over = "" if comparison.tested else f" over {comparison.difference_over}"
        facts.append(f"{CI} {low} to {high}{over}")
    if comparison.verdict == EQUIVALENT:
        p_value = p_text(comparison.p_equivalence)
        facts.append(f"two one-sided tests: {p_value} in a normal model")
    elif comparison.tested:
        facts.append(f"{p_text(comparison.p_holm)} in a normal model")
    text = f"{difference_number(comparison.difference)} {MAIN_METRIC}"
    return f"{text} ({', '.join(facts)})" if facts else text


def needed_text(needed: Needed | None, margin: float) -> str:
    """How many seeds decide a comparison; "" if it is unknown."""
    if needed is None:
        return ""
    if needed.seeds is not None:
        return (
            f"With the measured spread, {counted(needed.seeds, 'seed')} per row would decide it: "
            f"better, worse or equivalent within {margin_text(margin)}."
        )
    if needed.images is not None:
        return (
            f"With the measured spread, no number of seeds decides it within "
            f"{margin_text(margin)} on fewer than {needed.images} validation images."
        )
    return f"With the measured spread, {MAX_SEEDS} seeds per row would not decide it."


def margin_text(margin: float) -> str:
    """For example ``±1 AP``."""
    return f"±{margin:g} {MAIN_METRIC}"


def difference_number(value: float) -> str:
    """One decimal with its sign, for a reader; 0.0 has none."""
    return with_true_minus(labels.difference_text(value))


def p_text(p_value: float) -> str:
    """For example ``p = 0.012``."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def orders(agreements: dict[str, Agreement]) -> str:
    """Kendall's tau-b of every table (name -> agreement) that has one; "" if none has."""
    known = [
        f"{signed(agreement.tau)} in table {name}"
        for name, agreement in agreements.items()
        if agreement.tau is not None
    ]
    if not known:
        return ""
    return (
        "The rank correlation between our AP and the published AP (Kendall's τ-b) is "
        f"{', '.join(known)}. 1 means the same order, 0 no relation, −1 the reverse order."
    )


def listed(texts: Sequence[str]) -> str:
    """For example ``a, b and c``."""
    *others, last = texts
    return f"{', '.join(others)} and {last}" if others else last


def counted(number: int, noun: str) -> str:
    """For example ``1 seed``, ``3 seeds``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def signed(value: float) -> str:
    """Two decimals with a true minus sign."""
    return with_true_minus(f"{value:.2f}")


def tables(names: Sequence[str]) -> str:
    """For example ``table (a)``, ``tables (a) and (b)``."""
    return f"table{'s' if len(names) > 1 else ''} {listed(names)}"


def _tested(results: Results, several: Mapping[int, Sequence[str]]) -> str:
    """The tables in which differences are tested; ``several`` seeds -> the tables with so many."""
    names = [
        grid.label
        for grid in results.study.grids
        if any(comparison.tested for comparison in compare(results, grid))
    ]
    if not names:
        return "No difference was tested for significance."
    where = tables(names)
    if len(names) > 1 and {*names} == {*chain(*several.values())}:
        where = "every table" if several == _seed_numbers(results) else "these tables"
    return (
        f"Differences from the reference row are tested in {where}, with Holm's correction within "
        "a table."
    )


def _seed_numbers(results: Results) -> dict[int, list[str]]:
    """Number of seeds -> the tables whose rows have so many; the most frequent number first."""
    numbers: dict[int, list[str]] = {}
    for grid in results.study.grids:
        numbers.setdefault(len(results.study.seeds_of(grid)), []).append(grid.label)
    return dict(sorted(numbers.items(), key=lambda item: -len(item[1])))
