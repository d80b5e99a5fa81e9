"""Writes sentences about the choice of settings, as plain text that the page escapes."""

from collections.abc import Sequence

from ablations.study.choice import CHOSEN_LATER, settings_of
from ablations.study.grid import Grid
from reports.results.labels import MAIN_METRIC
from reports.results.load import Results, part
from reports.statistics.inference import SIGNIFICANCE
from reports.statistics.tuning import Tuned
from reports.text.sentences import counted, difference_number, listed, p_text


def fairness(results: Results, grid: Grid) -> str:
    """How the settings of a grid with tuned rows were chosen, and on which images they are judged.

    Args:
        results: the study with its records.
        grid: one of its grids.

    Returns:
        "" for a grid without tuned rows.
    """
    if not grid.is_tuned:
        return ""
    names = {row.tune for row in grid.rows if row.tune}
    # A study refuses tuning grids of unequal size in one table.
    size = next(len(settings_of(other)) for other in results.study.tuning if other.name in names)
    number = counted(size, "setting")
    images = images_of_half(results, grid)
    return (
        f"Each tuned setting is the best of {number} on one half of the validation images, and was "
        "trained again with fresh seeds, which were not used to choose it. All values are measured "
        f"on the other half{f' ({images} images)' if images else ''}."
    )


def images_of_half(results: Results, grid: Grid) -> int:
    """The number of images on which a grid with tuned rows is judged; 0 if no record has it."""
    for record in results.ended_records_of(results.of_grid(grid)):
        number = part(record.result, "analysis", "bootstrap").get("images")
        if type(number) is int:
            return number
    return 0


def alarm(rows: Sequence[Tuned]) -> str:
    """A warning for each loss whose gap is too large to be due to chance; "" if there is none."""
    texts = [
        f"{row.name} {difference_number(row.gap.value)} {MAIN_METRIC} ({p_text(row.gap.p_holm)})"
        for row in rows
        if row.gap and row.gap.alarm
    ]
    if not texts:
        return ""
    return (
        f"The gap between the two halves of the images is too large to be due to chance: "
        f"{listed(texts)}. Either the selection overfits its half, or the images of the two halves "
        "differ systematically. Another selection_seed divides the images differently; no tuning "
        "run has to be trained again."
    )


def note(results: Results, rows: Sequence[Tuned]) -> str:
    """What the table of choices shows, and what is still missing."""
    sentences = [
        f"{MAIN_METRIC} of each loss's best settings on the selection half of the validation "
        f"images and on the reporting half (selection seed {results.study.selection_seed}), "
        f"with {_seeds(rows)}. A run that diverged counts as 0.0.",
        f"The gap is {MAIN_METRIC} on the selection half minus that on the reporting half; "
        "its interval covers the variation in images. A gap is marked if it is too large to be due "
        f"to chance (p < {SIGNIFICANCE:g} after Holm's correction over the losses).",
    ]
    if waiting := [row.name for row in rows if row.choice is None]:
        sentences.append(f"{CHOSEN_LATER.capitalize()}: {listed(waiting)}.")
    if none := [row.name for row in rows if row.choice and row.choice.best is None]:
        sentences.append(f"No setting, since every run diverged: {listed(none)}.")
    for row in rows:
        if row.choice and row.choice.stale:
            changed = " and ".join(row.choice.stale)
            sentences.append(f"The choice for {row.name} is stale: {changed} changed.")
    return " ".join(sentences)


def _seeds(rows: Sequence[Tuned]) -> str:
    numbers = sorted({len(row.choice.seeds) for row in rows if row.choice})
    return " or ".join(counted(number, "seed") for number in numbers) or "no seed"
