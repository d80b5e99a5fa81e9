"""Reads the YAML files of studies and grids, and names every problem of a file at once."""

from pathlib import Path
from typing import Any

import msgspec
import yaml

from ablations.storage.schemas import check, name_of
from focal_star.io.yaml_text import LOADER, faults

MAX_BYTES = 10 * 2**20
"""The max size of a file. A grid of 10,000 rows has less than one million bytes."""

MAX_LEVELS, MAX_ALIASES = 20, 1000
"""Limits per file, see :func:`focal_star.io.yaml_text.faults`."""


class PlanError(ValueError):
    """A study or grid file that cannot be used; the message lists every problem."""


def read(path: Path, schema: type[msgspec.Struct]) -> tuple[dict[str, Any], list[str]]:
    """The keys of a file that fit a schema, and one line for each problem with the others.

    Raises:
        PlanError: there is no such file, or it is not a mapping in YAML.
    """
    if not path.is_file():
        raise PlanError(
            f"there is no {path.parent.name}/{name_of(path.name)}; there are: "
            + ", ".join(names_of(path.parent))
        )
    content = _content(path)
    if not isinstance(content, dict):
        raise PlanError(f"{path}: a mapping is expected, this is {type(content).__name__}")
    return check(content, schema)


def names_of(folder: Path) -> list[str]:
    """The names of a folder's studies or grids."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def refuse(path: Path, problems: list[str]) -> None:
    """Raise a PlanError if there are problems."""
    if problems:
        raise PlanError(f"{path}: " + "; ".join(problems))


def _content(path: Path) -> Any:
    """The content of a file in plain values.

    Raises:
        PlanError: it is not YAML, or it has something that ``faults`` finds.
    """
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise PlanError(f"{path}: is larger than {MAX_BYTES // 2**20} MB")
    try:
        text = content.decode("utf-8")
        for fault in faults(text, MAX_LEVELS, MAX_ALIASES, with_tags=False):
            raise PlanError(f"{path}: {fault}")
        return yaml.load(text, LOADER)
    except PlanError:
        raise
    except (yaml.YAMLError, ValueError) as error:  # ValueError: an invalid date or number
        raise PlanError(f"{path}: not YAML: {error}") from error
