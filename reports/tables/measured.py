"""Table columns and CSV texts of quantities that were measured for each contender."""

from collections.abc import Sequence

from reports.statistics.contenders import Contender, Measured
from reports.tables.table import NUMBER, SEEDS_RANK, Column, shown


def measured_column(measured: Measured, group: str, header: str, rank: int = 0) -> Column:
    """Means with their spread."""
    return Column(group, header, NUMBER, shown(measured.texts), rank)


def measured_texts(measured: Measured, name: str) -> dict[str, list[str]]:
    """The columns ``name`` and ``<name>_sd`` of a CSV."""
    return {name: measured.means, f"{name}_sd": measured.sds}


def seeds_columns(contenders: Sequence[Contender]) -> list[Column]:
    """The number of runs that were measured; no column in a study of one seed."""
    if all(contender.planned == 1 for contender in contenders):
        return []
    return [Column("", "seeds", NUMBER, [contender.seeds for contender in contenders], SEEDS_RANK)]


def seeds_texts(contenders: Sequence[Contender]) -> dict[str, list[str]]:
    """The number of runs that were measured, as columns of a CSV."""
    return {
        "seeds_done": [
            str(len(contender.records) + contender.diverged) for contender in contenders
        ],
        "seeds_diverged": [str(contender.diverged) for contender in contenders],
        "seeds_planned": [str(contender.planned) for contender in contenders],
    }
