"""Reads the YAML files of studies and grids, and names every problem of a file at once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from ablations.storage.schemas import check, name_of, shown

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The fast loader if PyYAML was built with it; both are safe."""

MAX_BYTES = 10 * 2**20
"""The max size of a file. A grid of 10,000 rows has less than one million bytes."""

MAX_LEVELS = 20
"""The max depth of nested lists and mappings. The fast loader crashes at about ten thousand."""


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
        PlanError: it is not YAML, or it has something that :func:`_faults` finds.
    """
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise PlanError(f"{path}: is larger than {MAX_BYTES // 2**20} MB")
    try:
        text = content.decode("utf-8")
        for fault in _faults(text):
            raise PlanError(f"{path}: {fault}")
        return yaml.load(text, LOADER)
    except PlanError:
        raise
    except (yaml.YAMLError, ValueError) as error:  # ValueError: an invalid date or number
        raise PlanError(f"{path}: not YAML: {error}") from error


def _faults(text: str) -> Iterator[str]:
    """One line for each use of YAML that this project refuses; no value is created."""
    # For each open list or mapping: the keys so far (None for a list), and whether the next node is
    # a key.
    open_nodes: list[tuple[set[str] | None, bool]] = []
    for event in yaml.parse(text, LOADER):
        if isinstance(event, yaml.CollectionEndEvent):
            open_nodes.pop()
            continue
        if not isinstance(event, yaml.NodeEvent):
            continue
        line = event.start_mark.line  # type: ignore[union-attr]  # the parser sets every mark
        where = f"line {line + 1}"
        tag = getattr(event, "tag", None)
        if tag is not None:
            tag = tag.replace("tag:yaml.org,2002:", "!!")
            yield f"{where}: the tag {shown(tag)}; only plain values are read"
        keys, is_key = open_nodes[-1] if open_nodes else (None, False)
        if keys is not None:
            open_nodes[-1] = keys, not is_key
            if is_key and isinstance(event, yaml.ScalarEvent):
                if event.value in keys:
                    yield f"{where}: the key {shown(event.value)} is there twice"
                keys.add(event.value)
        if isinstance(event, yaml.CollectionStartEvent):
            is_mapping = isinstance(event, yaml.MappingStartEvent)
            open_nodes.append((set() if is_mapping else None, is_mapping))
            if len(open_nodes) > MAX_LEVELS:
                yield f"{where}: nested more than {MAX_LEVELS} levels deep"
