"""Labels of a grid's rows: the study's values, with the paper's values in parentheses."""

from ablations.study.grid import Grid, Row
from reports.results.labels import axis_label, axis_text, labelled


def value_text(row: Row, column: str) -> str:
    """The study's value in a column; "" if the row has none."""
    if column in row.ours:
        return axis_text(column, row.ours[column])
    return axis_text(column, row.values[column]) if column in row.values else ""


def paper_text(row: Row, column: str) -> str:
    """The paper's value in a column; "" if it is the same as the study's."""
    if row.ours.get(column) == row.values.get(column) or column not in row.ours:
        return ""
    return axis_text(column, row.values[column])


def with_paper(ours: str, papers: str) -> str:
    """For example ``18 (50)``."""
    return f"{ours} ({papers})" if papers else ours


def row_label(row: Row, columns: tuple[str, ...]) -> str:
    """For example ``γ = 2, α = 0.25``; columns without a value are left out."""
    return ", ".join(
        _labelled(row, column, with_paper(value_text(row, column), paper_text(row, column)))
        for column in columns
        if column in row.values
    )


def paper_label(row: Row, columns: tuple[str, ...]) -> str:
    """:func:`row_label` with the paper's values only."""
    return ", ".join(
        _labelled(row, column, axis_text(column, row.values[column]))
        for column in columns
        if column in row.values
    )


def translation(grid: Grid) -> str:
    """The meaning of the parentheses and the values that all rows share; "" if there are none."""
    differing = {
        axis: (axis_text(axis, row.ours[axis]), paper_text(row, axis))
        for row in grid.rows
        for axis in row.ours
        if paper_text(row, axis)
    }
    sentences = [
        f"All rows have {labelled(axis, ours)}, where the paper has {papers}."
        for axis, (ours, papers) in differing.items()
        if axis not in grid.columns
    ]
    named = [axis_label(column).header for column in grid.columns if column in differing]
    if named:
        sentences.append(f"Parentheses contain the paper's {' and '.join(named)}.")
    return " ".join(sentences)


def _labelled(row: Row, column: str, text: str) -> str:
    return labelled(column, None if row.values[column] is None else text)
