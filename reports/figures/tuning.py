"""Draws the figure of AP over the tuning budget."""

from reports.figures.illustration import MARKERS, Illustrated, drawn
from reports.plots.tuning import Budget, ap_over_budget
from reports.results.labels import MAIN_METRIC, one_decimal, setting_colour
from reports.results.load import Results
from reports.statistics.tuning import expected_best, tuned
from reports.text.sentences import listed


def ap_over_budget_figure(results: Results) -> Illustrated:
    """Expected AP of the best of k settings of each tuned loss, over k."""
    chosen = [loss for loss in tuned(results) if loss.choice and loss.choice.best]
    if not chosen:
        return Illustrated(None, "")
    losses = []
    for loss, marker in zip(chosen, MARKERS * len(chosen), strict=False):
        assert loss.choice is not None
        selection = [candidate.selection for candidate in loss.choice.ranked]
        reporting = [candidate.reporting for candidate in loss.choice.ranked]
        losses.append(
            Budget(
                loss.name,
                expected_best(selection, selection),
                expected_best(selection, reporting),
                setting_colour(loss.row.setting.as_dict()),
                marker,
            )
        )
    ends = [
        f"{loss.label}: {one_decimal(float(loss.reporting[0]))} with 1 setting, "
        f"{one_decimal(float(loss.reporting[-1]))} with {len(loss.reporting)}"
        for loss in losses
    ]
    stale = [loss.name for loss in chosen if loss.choice and loss.choice.stale]
    return Illustrated(
        drawn(
            "ap_over_budget",
            f"Expected {MAIN_METRIC} on the reporting half of the images, over the number of "
            f"settings tried. {'; '.join(ends)}.",
            ap_over_budget,
            losses,
        ),
        f"Expected {MAIN_METRIC} of the best of k settings of each tuning grid, over all subsets "
        "of k settings (Dodge et al., arXiv:1909.03004; unbiased as in Tang et al., "
        "arXiv:2004.13705). The best is chosen on the selection half of the validation images; "
        "its value there (right) is biased upwards. On the reporting half (left), the only bias is "
        "that the choice was made with the same seeds."
        + (f" The choice for {listed(stale)} is stale." if stale else ""),
    )
