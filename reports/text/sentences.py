"""The report's words that depend on numbers: plain text, escaped where it is shown."""

import math
from collections.abc import Sequence

from ablations.records.record import DONE
from reports.results.labels import MAIN_METRIC
from reports.results.load import Results
from reports.results.provenance import dataset_name
from reports.statistics.comparisons import Comparison, compare
from reports.statistics.inference import Agreement

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
    return (
        f"The study {results.study.name} trains {counted(sum(counts.values()), 'cell')} on "
        f"{dataset_name(results)}, every setting with {seeds(results)}: {', '.join(states)}."
    )


def seeds(results: Results) -> str:
    """For example ``1 seed, 3 in table headline``."""
    (most, _), *others = _seed_numbers(results).items()
    return counted(most, "seed") + "".join(f", {n} in {tables(names)}" for n, names in others)


def staleness(results: Results) -> str:
    """That it is unknown whether the records still count, where it is; else ""."""
    if not (results.unchecked and results.records):
        return ""
    return f"Whether records are stale is unknown: {results.unchecked}."


def seeds_warning(results: Results) -> str:
    """What the numbers of seeds allow to say."""
    numbers = _seed_numbers(results)
    several = {number: names for number, names in numbers.items() if number > 1}
    means = f"with their sample standard deviation. {_tested(results)}"
    if 1 not in numbers:
        return f"Means over few seeds {means}"
    single = (
        "each number is one training run: the spread between seeds is unknown, so a difference "
        "between two of them is not a finding."
    )
    if not several:
        return single[0].upper() + single[1:]
    where = [f"{number} seeds in {tables(names)}" for number, names in several.items()]
    return f"Means over {listed(where)}, {means} Elsewhere, {single}"


def untested(names: Sequence[str], found: Sequence[Comparison]) -> str:
    """Which rows are not tested, and why; "" if all are."""
    reasons: dict[str, list[str]] = {}
    for name, comparison in zip(names, found, strict=True):
        if comparison.why_not:
            reasons.setdefault(comparison.why_not, []).append(name)
    return " ".join(f"Not tested ({why}): {listed(rows)}." for why, rows in reasons.items())


def difference_text(found: Comparison) -> str:
    """For example ``+1.2 AP (95 % interval +0.3 to +2.1, p = 0.012)``, with Holm's p-value."""
    facts = []
    if not math.isnan(found.difference_low):
        low, high = (
            difference_number(found.difference_low),
            difference_number(found.difference_high),
        )
        over = "" if found.tested else f" over {found.difference_over}"
        facts.append(f"95 % interval {low} to {high}{over}")
    if found.tested:
        facts.append(p_text(found.p_holm))
    text = f"{difference_number(found.difference)} {MAIN_METRIC}"
    return f"{text} ({', '.join(facts)})" if facts else text


def difference_number(value: float) -> str:
    """One decimal with its sign, 0.0 without one."""
    text = f"{value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def p_text(p_value: float) -> str:
    """For example ``p = 0.012``."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


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
    return (
        f"Order of the rows against the published order: Kendall's τ-b = {signed(found.tau)} "
        f"({p_text(found.p_value)}, {counted(found.n, 'row')}{left_out})."
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


def listed(texts: Sequence[str]) -> str:
    """For example ``a, b and c``."""
    *others, last = texts
    return f"{', '.join(others)} and {last}" if others else last


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


def _tested(results: Results) -> str:
    """In which tables differences are tested."""
    names = [
        grid.name
        for grid in results.study.grids
        if any(comparison.tested for comparison in compare(results, grid))
    ]
    if not names:
        return "No difference has been tested for significance."
    every = len(names) == len(results.study.grids) > 1
    return (
        "Differences to the reference row are tested in "
        f"{'every table' if every else tables(names)}, with Holm's correction within a table."
    )


def _seed_numbers(results: Results) -> dict[int, list[str]]:
    """Number of seeds -> the tables whose rows have so many, that of most tables first."""
    study, numbers = results.study, {}
    for grid in study.grids:
        numbers.setdefault(len(study.seeds_of(grid)), []).append(grid.name)
    return dict(sorted(numbers.items(), key=lambda item: -len(item[1])))


def tables(names: Sequence[str]) -> str:
    """For example ``table alpha``, ``tables alpha and gamma``."""
    return f"table{'s' if len(names) > 1 else ''} {listed(names)}"
