"""The sections of a report: the answer, the evidence, the provenance.

A new table or figure is one line in one of these lists.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ablations.study.grid import Grid
from reports.detections import side_by_side, worst_misses
from reports.detections.gallery import Gallery
from reports.figures.ablation_map import AblationMap, ablation_map_figure
from reports.figures.detections import (
    error_types_figure,
    miss_rate_figure,
    precision_recall_figure,
    reliability_figure,
)
from reports.figures.grids import ap_over_ms_figure, ap_over_rows_figure
from reports.figures.illustration import Illustrated
from reports.figures.losses import cumulative_loss_figures, loss_over_p_t_figure
from reports.figures.recorded_losses import summaries
from reports.figures.schedules import ap_over_schedule_figure, tau_over_schedule_figure
from reports.figures.studies import ap_over_scale_figure, heat_maps_figure, speed_figure
from reports.figures.training import training_figures
from reports.figures.tuning import ap_over_budget_figure
from reports.page import two_rows
from reports.page.blocks import (
    Block,
    Bullets,
    FigureBlock,
    FigureFile,
    Formula,
    GammaBlock,
    Heading,
    Lede,
    MapBlock,
    Note,
    Section,
    TableBlock,
    Text,
    TwoRowsBlock,
    Warning,
)
from reports.page.gamma_slider import gamma_slider
from reports.page.opening import Opening, opening
from reports.page.provenance_sections import provenance_sections
from reports.results import provenance
from reports.results.differences import Differences, differences
from reports.results.labels import (
    HEADLINE,
    MAIN_METRIC,
    SPEED,
)
from reports.results.load import Results
from reports.statistics import schedules
from reports.statistics.best import compared
from reports.statistics.inference import Agreement, kendall
from reports.statistics.schedules import SCHEDULE
from reports.statistics.tuning import tuned
from reports.tables import (
    captions,
    dataset_card,
    error_types,
    per_class,
    references,
    safety,
    speed,
    tuning,
)
from reports.tables.best import best_settings
from reports.tables.grids import GridTable, grid_table
from reports.tables.table import Link, Tabled
from reports.text import answer, sentences, training_length
from reports.text import tuning as tuning_text
from reports.text.findings import finding

ABOUT_FOCAL_STAR = (
    "FL* is the modified focal loss of Zheng and Li (2023, equation 6). The appendix of the ",
    Link("focal loss paper", "https://arxiv.org/abs/1708.02002"),
    " defines another function that it also writes FL*.",
)


@dataclass(frozen=True)
class Report:
    """The content of a page.

    Attributes:
        opening: the first screen.
        summary: the study and its progress.
        warnings: shown at the top.
        sections: in order.
    """

    opening: Opening
    summary: str
    warnings: Sequence[str]
    sections: Sequence[Section]


def report(results: Results) -> Report:
    """The report of a study."""
    grids = [(grid, grid_table(results, grid)) for grid in _ordered(results.study.grids)]
    shown = side_by_side.pictures(results)
    answered = answer.answer(results)
    differences_of = {
        grid.name: differences(results, grid, table.row_labels) for grid, table in grids
    }
    mapped = [
        (grid, table)
        for grid, table in grids
        if grid.name != HEADLINE and SCHEDULE not in grid.columns
    ]
    shown_map = ablation_map_figure(results, mapped)
    sections = [
        _answer(answered),
        Section("tuning", "How the settings were chosen", _tuning(results)),
        Section("best", "Best setting of each loss", _best(results)),
        Section("reading", "How to read the tables", _reading(results, grids)),
        *(
            _grid(results, grid, table, differences_of)
            for grid, table in grids
            if grid.name == HEADLINE
        ),
        Section("map", "All ablations at a glance", _map(results, grids, shown_map)),
        *(
            _grid(results, grid, table, differences_of, shown_map is not None)
            for grid, table in grids
            if grid.name != HEADLINE
        ),
        Section("accuracy", "Accuracy, speed and input scale", _accuracy(results, grids)),
        Section("training_length", "Training length", _training_length(results, grids)),
        Section("per_class", "AP per category", _per_class(results)),
        Section("errors", "Error types", _errors(results)),
        Section("safety", "Missed objects", _safety(results)),
        Section("pictures", "Example detections", _gallery(shown)),
        Section("two_rows", "Two rows side by side", _two_rows(results, shown)),
        Section("losses", "Loss functions", _losses(results, shown)),
        Section("training", "Training curves", _training(results)),
        Section("dataset", "Data set", _dataset(results)),
        Section("references", "Published results on COCO", _references(results)),
        *provenance_sections(results),
    ]
    return Report(
        opening=opening(results, answered),
        summary=sentences.summary(results),
        warnings=list(
            filter(
                None,
                [
                    sentences.staleness(results),
                    sentences.short_training(results),
                    sentences.nothing_found(results),
                    _confounded(results, differences_of),
                ],
            )
        ),
        sections=[section for section in sections if section.blocks],
    )


def _confounded(results: Results, differences_of: Mapping[str, Differences]) -> str:
    """A warning that names the tables with confounds; "" if there are none."""
    names = [grid.label for grid in results.study.grids if differences_of[grid.name].confounds]
    if not names:
        return ""
    return (
        f"The rows of {sentences.tables(names)} also differ in keys that the table does not name; "
        "the warning below each says which."
    )


def published_agreement(table: GridTable) -> Agreement | None:
    """The rank correlation of the rows' AP with the published AP; None if nothing is published."""
    if not table.has_published:
        return None
    values = table.values
    return kendall(values[MAIN_METRIC], values[f"{MAIN_METRIC}_published"])


def tabled(name: str, title: str, content: Tabled) -> list[Block]:
    """A table with its note, or the reason for its absence."""
    if content.table is None:
        return [Note(content.note)]
    return [TableBlock(name, content.table, title), Note(content.note)]


def illustrated(content: Illustrated) -> list[Block]:
    """A figure with its caption, or the reason for its absence; nothing without a reason."""
    if content.figure is None and not content.note:
        return []
    if content.figure is None:
        return [Note(content.note)]
    return [FigureBlock(content.figure, content.note)]


def _ordered(grids: Sequence[Grid]) -> list[Grid]:
    """The grids with the headline first."""
    return sorted(grids, key=lambda grid: grid.name != HEADLINE)


def _answer(answered: answer.Answer) -> Section:
    title = "The comparison"
    if answered.rows and answered.asked and answered.asked.candidate is not None:
        title = " against ".join(
            answered.rows[row].short for row in (answered.asked.candidate, answered.asked.reference)
        )
    return Section(
        "answer",
        title,
        [
            Lede(answered.verdict),
            *([Bullets(answered.others)] if answered.others else []),
            *([Note(answered.basis)] if answered.basis else []),
        ],
    )


def _tuning(results: Results) -> list[Block]:
    if not results.study.tuning:
        return []
    rows = tuned(results)
    warning = tuning_text.alarm(rows)
    texts = [tuning_text.fairness(results, grid) for grid in results.study.grids if grid.is_tuned]
    blocks: list[Block] = [Text(text) for text in dict.fromkeys(texts)]
    title = "Chosen settings and runners-up"
    blocks += [Warning(warning)] if warning else []
    return blocks + [
        *tabled("tuning", title, tuning.choices(results)),
        *illustrated(ap_over_budget_figure(results)),
    ]


def _best(results: Results) -> list[Block]:
    """The best setting of each loss, if the study does not choose one by a fair protocol."""
    if results.study.tuning:
        return []
    best = best_settings(results)
    if best.table is None:
        return [Text(best.note)]
    title = f"Setting of highest mean {MAIN_METRIC} per loss"
    return [TableBlock("best", best.table, title, compared(results.study)), Note(best.note)]


def _reading(results: Results, grids: Sequence[tuple[Grid, GridTable]]) -> list[Block]:
    """The meaning of the marks of tests, if there is a test."""
    if not any(comparison.tested for _, table in grids for comparison in table.comparisons):
        return []
    return [Text(captions.how_to_read(results.study.equivalence_margin))]


def _map(
    results: Results, tables: Sequence[tuple[Grid, GridTable]], shown_map: AblationMap | None
) -> list[Block]:
    agreements = {grid.label: published_agreement(table) for grid, table in tables}
    orders = sentences.orders(
        {name: agreement for name, agreement in agreements.items() if agreement}
    )
    blocks: list[Block] = [Warning(sentences.seeds_warning(results))]
    blocks += [Text(orders)] if orders else []
    if shown_map is None:
        return blocks
    drawn = [(grid, table) for grid, table in tables if grid.name in shown_map.grids]
    frame = results.frame[results.frame["grid"].isin(shown_map.grids)]
    runs_text = provenance.caption(results, results.ended_records_of(frame))
    return [
        *blocks,
        MapBlock(shown_map.figure, f"{captions.ablation_map(drawn)} {runs_text}.", shown_map),
    ]


def _grid(
    results: Results,
    grid: Grid,
    table: GridTable,
    differences_of: Mapping[str, Differences],
    is_mapped: bool = False,
) -> Section:
    """The section of a table.

    Args:
        differences_of: name of a table -> what its rows differ in.
        is_mapped: whether the map shows its dots; if so, its own figure is only linked, unless it
            also shows published effects.
    """
    frame = results.of_grid(grid)
    runs_text = provenance.caption(results, results.ended_records_of(frame))
    differing = differences_of[grid.name]
    agreement = published_agreement(table)
    source = f" Published values: {grid.source}." if agreement else ""
    title = "AP in percent" + (", ours and published" if agreement else "")
    blocks: list[Block] = [
        Text(finding(results, grid, table.comparisons)),
        TableBlock(grid.name, table.table, title, f"{runs_text}.{source}", grid.title),
        Note(
            f"{captions.under_table(results, grid, table)} "
            f"{captions.compared_configs(differing)}".strip()
        ),
    ]
    if differing.confounds:
        blocks.append(Warning(captions.confounds(differing)))
    if "focal_star" in set(frame["loss"]):
        blocks.append(Note(*ABOUT_FOCAL_STAR))
    only_linked = is_mapped and not table.has_published
    figure = ap_over_rows_figure(results, grid, table, linked_only=only_linked)
    if only_linked:
        blocks.append(FigureFile(figure, "Dot plot of this table:"))
    else:
        dots = captions.dots(frame, table)
        blocks.append(FigureBlock(figure, f"{dots} {runs_text}."))
    over_ms = ap_over_ms_figure(grid, table) if _several_timed(results) else None
    if over_ms:
        blocks.append(FigureBlock(over_ms, f"{captions.speed(grid, table)}{source} {runs_text}."))
    return Section(grid.name, grid.title, blocks)


def _several_timed(results: Results) -> bool:
    """Whether several tables have speeds; the figure of a single one is that of the study."""
    return len(results.study.timed_grids) > 1


def _per_class(results: Results) -> list[Block]:
    return tabled("per_class", "AP per category", per_class.per_class_ap(results))


def _accuracy(results: Results, grids: Sequence[tuple[Grid, GridTable]]) -> list[Block]:
    blocks = []
    if any(SPEED in table.metrics for _, table in grids):
        blocks += illustrated(speed_figure(results, grids))
        blocks += tabled("architectures", "Time per image", speed.architectures(results))
    if any("scale" in grid.columns for grid, _ in grids):
        blocks += illustrated(ap_over_scale_figure(results, grids))
    return blocks + illustrated(heat_maps_figure(results))


def _training_length(results: Results, grids: Sequence[tuple[Grid, GridTable]]) -> list[Block]:
    if not schedules.scheduled(results):
        return []
    texts = [*training_length.settled(results), training_length.taus(results)]
    return [
        *[Text(text) for text in texts if text],
        *illustrated(ap_over_schedule_figure(results, grids)),
        *illustrated(tau_over_schedule_figure(results)),
    ]


def _errors(results: Results) -> list[Block]:
    return [
        *tabled("error_types", "Errors by type", error_types.error_types(results)),
        *_score_threshold(results),
        *illustrated(error_types_figure(results)),
        *illustrated(precision_recall_figure(results)),
    ]


def _score_threshold(results: Results) -> list[Block]:
    text = captions.score_threshold(results)
    return [Note(text)] if text else []


def _safety(results: Results) -> list[Block]:
    return [
        *tabled("safety", "Miss rate, recall and calibration", safety.safety(results)),
        *_score_threshold(results),
        *illustrated(miss_rate_figure(results)),
        *illustrated(reliability_figure(results)),
        *tabled("miss_rate", "Miss rate per category", per_class.per_class_miss_rate(results)),
        *_gallery(worst_misses.worst_misses(results)),
        *tabled("missed_objects", "Largest missed objects", safety.missed_objects(results)),
    ]


def _gallery(gallery: Gallery) -> list[Block]:
    blocks: list[Block] = []
    for picture in gallery.pictures:
        blocks += [Heading(picture.title), FigureBlock(picture, picture.caption)]
    return blocks + ([Note(gallery.why_not)] if gallery.why_not else [])


def _two_rows(results: Results, shown: Gallery) -> list[Block]:
    data = two_rows.data(results, shown)
    return [] if data is None else [TwoRowsBlock(data)]


def _losses(results: Results, shown: Gallery) -> list[Block]:
    return [
        Formula("focal"),
        Formula("focal_star"),
        Text(*ABOUT_FOCAL_STAR, " This project calls it focal_appendix."),
        *(Text(f"{short}: {summary}") for short, summary in summaries(results).items()),
        GammaBlock(gamma_slider(results, shown)),
        *illustrated(loss_over_p_t_figure(results)),
        Heading("Cumulative loss"),
        *(block for content in cumulative_loss_figures(results) for block in illustrated(content)),
    ]


def _training(results: Results) -> list[Block]:
    return [block for content in training_figures(results) for block in illustrated(content)]


def _dataset(results: Results) -> list[Block]:
    name = provenance.dataset_name(results)
    return tabled("dataset", f"Contents of {name}", dataset_card.dataset_card(results))


def _references(results: Results) -> list[Block]:
    """Published results; nothing for a user's own data, on which nobody has published any."""
    if results.on_own_data:
        return []
    return tabled("baselines", "RetinaNet with ResNet-50-FPN on COCO", references.baselines())
