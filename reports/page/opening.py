"""The first screen of a report: the question, its answer, and what a reader needs to judge it."""

from dataclasses import dataclass

from reports.figures.forest import forest_figure
from reports.page.blocks import FigureBlock
from reports.results.load import Results
from reports.statistics.noise import noise_floor
from reports.text import opening as texts
from reports.text import sentences
from reports.text.answer import NO_QUESTION, Answer, compared
from reports.text.findings import finding
from reports.text.opening import Verdict


@dataclass(frozen=True)
class Opening:
    """The first screen.

    Attributes:
        title: the question and its answer.
        kicker: the study's title, if it is not the page's; else "".
        formulas: the losses whose formulas are shown; the templates have one per name.
        gist: what these losses do; "" without formulas.
        terms: the symbols of the formulas, the metric and the unit of schedules.
        scope: data, input size, schedule.
        verdict: the effect; None if the study compares no losses.
        finding: what the first table shows, in place of a verdict; else "".
        forest: the differences from the reference row; None without a table with a reference row.
        table: the table that the forest shows; "" without a forest.
        cost: what the study cost.
    """

    title: str
    kicker: str = ""
    formulas: tuple[str, ...] = ()
    gist: str = ""
    terms: str = ""
    scope: tuple[str, ...] = ()
    verdict: Verdict | None = None
    finding: str = ""
    forest: FigureBlock | None = None
    table: str = ""
    cost: str = ""


def opening(results: Results, answer: Answer) -> Opening:
    """The first screen of a study with this answer."""
    title, study_title = texts.question_text(results, answer), sentences.title(results)
    asked = answer.asked
    losses = texts.formulas(results, asked)
    summary, forest = "", None
    if asked is not None:
        rows = answer.rows or compared(results, asked.grid)
        if any(row.comparison.seeds for row in rows):
            floor = noise_floor(results, asked.grid)
            drawn = forest_figure(results, asked, rows)
            forest = FigureBlock(drawn, texts.noise_text(floor))
        if answer.outcome == NO_QUESTION:
            summary = finding(results, asked.grid, [row.comparison for row in rows])
    return Opening(
        kicker="" if study_title == title else study_title,
        title=title,
        formulas=losses,
        gist=texts.gist(losses),
        terms=texts.terms(results, asked, losses),
        scope=texts.scope(results, asked),
        verdict=texts.verdict(results, answer),
        finding=summary,
        forest=forest,
        table=asked.grid.name if asked and forest else "",
        cost=texts.cost(results),
    )
