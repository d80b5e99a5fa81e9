"""How a grid's row is called: by the study's values, with the paper's in parentheses."""

from ablations.study.grid import Grid, Row
from reports.results.labels import axis_label, axis_text, labelled


def value_text(row: Row, column: str) -> str:
    """The study's value of a row's column; "" where the row has none."""
    if column in row.ours:
        return axis_text(column, row.ours[column])
    return axis_text(column, row.values[column]) if column in row.values else ""


def paper_text(row: Row, column: str) -> str:
    """The paper's value, "" where it is the study's as well."""
    if row.ours.get(column) == row.values.get(column) or column not in row.ours:
        return ""
    return axis_text(column, row.values[column])


def with_paper(ours: str, papers: str) -> str:
    """For example ``18 (50)``."""
    return f"{ours} ({papers})" if papers else ours


def row_label(row: Row, columns: tuple[str, ...]) -> str:
    """For example ``γ = 2, α = 0.25``; what the row has no value of is left out."""
    return ", ".join(
        _labelled(row, column, with_paper(value_text(row, column), paper_text(row, column)))
        for column in columns
        if column in row.values
    )


def paper_label(row: Row, columns: tuple[str, ...]) -> str:
    """:func:`row_label` in the paper's terms alone."""
    return ", ".join(
        _labelled(row, column, axis_text(column, row.values[column]))
        for column in columns
        if column in row.values
    )


def translation(grid: Grid) -> str:
    """What the parentheses in a grid's rows mean, and what its rows share; "" if nothing."""
    differing = {
        axis: (axis_text(axis, row.ours[axis]), paper_text(row, axis))
        for row in grid.rows
        for axis in row.ours
        if paper_text(row, axis)
    }
    sentences = [
        f"All rows have {labelled(axis, ours)}; the paper's have {papers}."
        for axis, (ours, papers) in differing.items()
        if axis not in grid.columns
    ]
    named = [axis_label(column).header for column in grid.columns if column in differing]
    if named:
        sentences.append(f"In parentheses: the paper's {' and '.join(named)}.")
    return " ".join(sentences)


def _labelled(row: Row, column: str, text: str) -> str:
    return labelled(column, None if row.values[column] is None else text)
