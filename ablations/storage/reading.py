"""Reads the YAML files of studies and grids, and names every problem of a file at once."""

import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The quick one where PyYAML was built with it; both are safe."""

MOST_BYTES = 10 * 2**20
"""Of a file. A grid of 10,000 rows has under one million."""

MOST_LEVELS = 20
"""Lists and mappings within one another. The quick loader would crash at some ten thousand."""

LONGEST_SHOWN = 300
"""Characters of a value in a message."""

_REPR = reprlib.Repr()
_REPR.maxlevel = 3  # of aliases of aliases there can be billions
_REPR.maxstring = _REPR.maxother = 120
_REPR.maxlist = _REPR.maxtuple = _REPR.maxdict = 10


class PlanError(ValueError):
    """A study or grid file that cannot be used; the message lists every problem."""


def read(
    path: Path, required: dict[str, type], optional: dict[str, type] | None = None
) -> tuple[dict[str, Any], list[str]]:
    """The keys of a file that can be used, and one line for each problem with the others."""
    if not path.is_file():
        raise PlanError(
            f"there is no {path.parent.name}/{shown(path.name)[1:-1]}; there are: "
            + ", ".join(names_of(path.parent))
        )
    content = _content(path)
    if not isinstance(content, dict):
        raise PlanError(f"{path}: a mapping is expected, this is {type(content).__name__}")
    known = required | (optional or {})
    # By its exact type: a bool is no int here.
    usable = {key: content[key] for key in known if type(content.get(key)) is known[key]}
    problems = [f"{key} is missing" for key in required if key not in content]
    problems += [
        f"unknown key {key if isinstance(key, str) and len(key) < 80 else shown(key)}; "
        f"known: {', '.join(known)}"
        for key in content
        if key not in known
    ]
    problems += [
        f"{key} is {shown(content[key])}, not a {kind.__name__}"
        for key, kind in known.items()
        if key in content and key not in usable
    ]
    return usable, problems


def shown(value: Any) -> str:
    """A value as a message shows it: quoted, and short however much of it there is."""
    text = _REPR.repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def names_of(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml"))


def names_in(content: dict[str, Any], key: str, problems: list[str]) -> tuple[str, ...]:
    """The names of a list; what is none goes to ``problems``."""
    values = content.get(key, ())
    problems += [
        f"{key} has {shown(value)}, not a name" for value in values if not isinstance(value, str)
    ]
    return tuple(value for value in values if isinstance(value, str))


def refuse(path: Path, problems: list[str]) -> None:
    if problems:
        raise PlanError(f"{path}: " + "; ".join(problems))


def _content(path: Path) -> Any:
    """What a file holds, in plain values.

    Raises:
        PlanError: it is not YAML, or YAML that means something else than it seems to.
    """
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise PlanError(f"{path}: is larger than {MOST_BYTES // 2**20} MB")
    try:
        text = content.decode("utf-8")
        for fault in _faults(text):
            raise PlanError(f"{path}: {fault}")
        return yaml.load(text, LOADER)
    except PlanError:
        raise
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or a number that is none
        raise PlanError(f"{path}: not YAML: {error}") from error


def _faults(text: str) -> Iterator[str]:
    """What YAML allows and this project does not, before any value is made of it."""
    # For each list or mapping that is open: the keys so far (None: a list), and whether the next
    # node is a key.
    open_nodes: list[tuple[set[str] | None, bool]] = []
    for event in yaml.parse(text, LOADER):
        if isinstance(event, yaml.CollectionEndEvent):
            open_nodes.pop()
            continue
        if not isinstance(event, yaml.NodeEvent):
            continue
        where = f"line {event.start_mark.line + 1}"
        if getattr(event, "tag", None) is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            yield f"{where}: the tag {shown(tag)}; only plain values are read"
        if open_nodes and open_nodes[-1][0] is not None:
            keys, is_key = open_nodes[-1]
            open_nodes[-1] = keys, not is_key
            if is_key and isinstance(event, yaml.ScalarEvent):
                if event.value in keys:
                    yield f"{where}: the key {shown(event.value)} is there twice"
                keys.add(event.value)
        if isinstance(event, yaml.CollectionStartEvent):
            is_mapping = isinstance(event, yaml.MappingStartEvent)
            open_nodes.append((set() if is_mapping else None, is_mapping))
            if len(open_nodes) > MOST_LEVELS:
                yield f"{where}: nested more than {MOST_LEVELS} levels deep"
