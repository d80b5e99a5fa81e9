"""What a report consists of, in the order of its reader: the answer, the evidence, the making.

A new table or figure is one line in one of these lists; the templates know kinds of blocks alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ablations.study.grid import Grid
from reports import figures
from reports.detections import side_by_side, worst_misses
from reports.detections.gallery import Gallery
from reports.figures import Illustrated
from reports.page import making
from reports.page.blocks import (
    Block,
    Bullets,
    FigureBlock,
    Formula,
    Heading,
    Lede,
    Note,
    PictureBlock,
    Section,
    TableBlock,
    Text,
    Warning,
)
from reports.results import provenance
from reports.results.labels import HEADLINE, LOSSES, MAIN_METRIC, PROPOSAL_FIGURE_4, SPEED
from reports.results.load import Results
from reports.statistics import best
from reports.statistics.inference import Agreement, kendall
from reports.tables import captions, dataset_card, error_types, per_class, references, safety
from reports.tables.grids import GridTable, grid_table
from reports.tables.table import AXIS, NUMBER, TEXT, Column, Link, Table, Tabled, shown
from reports.text import answer, sentences

FLATTERED = (
    "The highest of several values is flattered by the choice: the more settings were tried, the "
    "more so."
)

ABOUT_FOCAL_STAR = (
    "FL* is the modified focal loss of the proposal of FL* (equation 6). It is not the function "
    "that the appendix of the ",
    Link("focal loss paper", "https://arxiv.org/abs/1708.02002"),
    " also writes FL*.",
)


@dataclass(frozen=True)
class Report:
    """All that a page shows.

    Attributes:
        title: of the page.
        summary: which study, and how much of it there is.
        warnings: what a reader must know before all else.
        sections: in order.
    """

    title: str
    summary: str
    warnings: Sequence[str]
    sections: Sequence[Section]


def report(results: Results) -> Report:
    """All that is known of a study, in the order of its reader."""
    grids = [(grid, grid_table(results, grid)) for grid in _ordered(results.study.grids)]
    sections = [
        _answer(results),
        _best(results, grids),
        *(_grid(results, grid, table) for grid, table in grids),
        Section("accuracy", "Accuracy against speed, scale and setting", _accuracy(results, grids)),
        Section("per_class", "Each category", _per_class(results)),
        Section("errors", "Which errors cost AP", _errors(results)),
        Section("safety", "What is overlooked", _safety(results)),
        Section("pictures", "Pictures", _gallery(side_by_side.pictures(results))),
        Section("losses", "The losses", _losses(results)),
        Section("training", "Training curves", _training(results, grids)),
        Section("dataset", "The data set", _dataset(results)),
        Section("references", "What others publish for the same model", _references()),
        *making.sections(results),
    ]
    return Report(
        title=sentences.title(results),
        summary=sentences.summary(results),
        warnings=list(filter(None, [sentences.staleness(results)])),
        sections=[section for section in sections if section.blocks],
    )


def published_agreement(table: GridTable) -> Agreement | None:
    """How far the rows' order by AP is the published one; None where nothing is published."""
    if not table.has_published:
        return None
    values = table.values
    return kendall(values[MAIN_METRIC], values[f"{MAIN_METRIC}_published"])


def tabled(name: str, title: str, found: Tabled) -> list[Block]:
    """A table with its note, or why there is none."""
    if found.table is None:
        return [Note(found.note)]
    return [TableBlock(name, found.table, title), Note(found.note)]


def illustrated(found: Illustrated) -> list[Block]:
    """A figure with its caption, or why there is none."""
    return [Note(found.note) if found.figure is None else FigureBlock(found.figure, found.note)]


def _ordered(grids: Sequence[Grid]) -> list[Grid]:
    """The grid that the answer is from stands first."""
    return sorted(grids, key=lambda grid: grid.name != HEADLINE)


def _answer(results: Results) -> Section:
    ours, theirs = (LOSSES[loss].short for loss in answer.QUESTION)
    found = answer.answer(results)
    return Section(
        "answer",
        f"Does {ours} beat {theirs}?",
        [
            Lede(found.verdict),
            *([Bullets(found.others)] if found.others else []),
            *([Note(found.basis)] if found.basis else []),
        ],
    )


def _best(results: Results, grids: Sequence[tuple[Grid, GridTable]]) -> Section:
    found = {grid.name: published_agreement(table) for grid, table in grids}
    orders = sentences.orders({name: agreement for name, agreement in found.items() if agreement})
    rows = best.best_settings(results)
    blocks: list[Block] = [Text("No cell has a result yet.")]
    if rows:
        title = f"Best setting of each loss by mean {MAIN_METRIC}"
        table = table_of_best(rows)
        blocks = [TableBlock("best", table, title, best.compared(results.study)), Note(FLATTERED)]
    blocks.append(Warning(sentences.seeds_warning(results)))
    return Section("best", "Best settings", [*blocks, *([Text(orders)] if orders else [])])


def table_of_best(rows: Sequence[dict[str, str]]) -> Table:
    """What :func:`best.best_settings` returned; a column that is empty throughout is left out."""
    columns = [
        Column("", header, kind, shown(row[name] for row in rows))
        for name, header, kind in (
            ("loss", "loss", AXIS),
            ("setting", "setting", TEXT),
            ("AP", MAIN_METRIC, NUMBER),
            ("interval", "95 % interval", NUMBER),
            ("seeds", "seeds", NUMBER),
            ("settings", "settings tried", NUMBER),
        )
        if any(row[name] for row in rows)
    ]
    return Table(columns)


def _grid(results: Results, grid: Grid, table: GridTable) -> Section:
    frame = results.of_grid(grid)
    made = provenance.caption(results, results.records_of(frame))
    agreement = published_agreement(table)
    source = f" Published: {grid.source}." if agreement else ""
    beside = "ours beside the published values" if agreement else "ours; none are published"
    blocks: list[Block] = [
        TableBlock(
            grid.name, table.table, f"AP in percent, {beside}", f"{made}.{source}", grid.title
        ),
        Note(captions.under_table(results, grid, table)),
    ]
    if agreement:
        blocks.append(Text(sentences.agreement(agreement)))
    if "focal_star" in set(frame["loss"]):
        blocks.append(Note(*ABOUT_FOCAL_STAR))
    dots = captions.dots(frame, table.has_published)
    blocks.append(
        FigureBlock(figures.ap_over_rows(results, grid, table), f"{dots}{source} {made}.")
    )
    speed = figures.ap_over_ms(grid, table)
    if speed:
        blocks.append(FigureBlock(speed, f"{captions.speed(grid, table)}{source} {made}."))
    return Section(grid.name, grid.title, blocks)


def _per_class(results: Results) -> list[Block]:
    return tabled("per_class", "AP of each category", per_class.per_class_ap(results))


def _accuracy(results: Results, grids: Sequence[tuple[Grid, GridTable]]) -> list[Block]:
    blocks = []
    if any(SPEED in table.metrics for _, table in grids):
        blocks += illustrated(figures.speed(results, grids))
    if any("scale" in grid.columns for grid, _ in grids):
        blocks += illustrated(figures.ap_over_scale(results, grids))
    return blocks + illustrated(figures.heat_maps(results))


def _errors(results: Results) -> list[Block]:
    return [
        *tabled("error_types", "Errors by kind", error_types.error_types(results)),
        *illustrated(figures.error_types(results)),
        *illustrated(figures.precision_recall(results)),
    ]


def _safety(results: Results) -> list[Block]:
    return [
        *tabled("safety", "Misses, recall and calibration", safety.safety(results)),
        *illustrated(figures.miss_rate(results)),
        *illustrated(figures.reliability(results)),
        *tabled("miss_rate", "Miss rate of each category", per_class.per_class_miss_rate(results)),
        *_gallery(worst_misses.worst_misses(results)),
        *tabled("missed_objects", "The worst misses", safety.missed_objects(results)),
    ]


def _gallery(gallery: Gallery) -> list[Block]:
    blocks: list[Block] = []
    for picture in gallery.pictures:
        blocks += [Heading(picture.title), PictureBlock(picture)]
    return blocks + ([Note(gallery.why_not)] if gallery.why_not else [])


def _losses(results: Results) -> list[Block]:
    drawn = dict.fromkeys(name for name, *_ in PROPOSAL_FIGURE_4)
    names = ", ".join(f"{LOSSES[name].short}: {LOSSES[name].long}" for name in drawn)
    return [
        FigureBlock(
            figures.loss_over_p_t(),
            f"{names}, for αₜ = 1, after figure 4 of the proposal of FL*.",
        ),
        Formula("focal_star"),
        Text(*ABOUT_FOCAL_STAR, " This project calls that one focal_appendix."),
        Heading("Where the loss comes from"),
        *(block for one in figures.cumulative_loss(results) for block in illustrated(one)),
    ]


def _training(results: Results, grids: Sequence[tuple[Grid, GridTable]]) -> list[Block]:
    blocks: list[Block] = [
        Text(
            "The classification loss of every run on logarithmic scales; a cross ends a run that "
            "diverged. The rows of a table train on different losses, and each panel has its own "
            "scale of the loss, so compare the shapes, not the levels."
        )
    ]
    for grid, table in grids:
        frame = results.of_grid(grid)
        drawn = figures.training_curves(results, grid, table)
        made = provenance.caption(results, results.records_of(frame))
        caption = f"{captions.curves(frame, drawn.window)} {made}.".strip()
        blocks += [Heading(grid.title), FigureBlock(drawn, caption)]
    return blocks


def _dataset(results: Results) -> list[Block]:
    name = provenance.dataset_name(results)
    return tabled("dataset", f"What is in {name}", dataset_card.dataset_card(results))


def _references() -> list[Block]:
    return tabled("baselines", "RetinaNet with ResNet-50-FPN on COCO", references.baselines())
