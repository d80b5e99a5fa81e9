"""Reads the YAML files of studies and grids, and names every problem of a file at once."""

from pathlib import Path
from typing import Any

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The quick one where PyYAML was built with it; both are safe."""


class PlanError(ValueError):
    """A study or grid file that cannot be used; the message lists every problem."""


def read(
    path: Path, required: dict[str, type], optional: dict[str, type] | None = None
) -> tuple[dict[str, Any], list[str]]:
    """The keys of a file that can be used, and one line for each problem with the others."""
    if not path.is_file():
        raise PlanError(
            f"there is no {path.parent.name}/{path.name}; there are: "
            + ", ".join(names_of(path.parent))
        )
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), LOADER)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PlanError(f"{path}: not YAML: {error}") from error
    if not isinstance(content, dict):
        raise PlanError(f"{path}: a mapping is expected, this is {type(content).__name__}")
    known = required | (optional or {})
    # By its exact type: a bool is no int here.
    usable = {key: content[key] for key in known if type(content.get(key)) is known[key]}
    problems = [f"{key} is missing" for key in required if key not in content]
    problems += [
        f"unknown key {key}; known: {', '.join(known)}" for key in content if key not in known
    ]
    problems += [
        f"{key} is {content[key]!r}, not a {kind.__name__}"
        for key, kind in known.items()
        if key in content and key not in usable
    ]
    return usable, problems


def names_of(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml"))


def names_in(content: dict[str, Any], key: str, problems: list[str]) -> tuple[str, ...]:
    """The names of a list; what is none goes to ``problems``."""
    values = content.get(key, ())
    problems += [
        f"{key} has {value!r}, not a name" for value in values if not isinstance(value, str)
    ]
    return tuple(value for value in values if isinstance(value, str))


def refuse(path: Path, problems: list[str]) -> None:
    if problems:
        raise PlanError(f"{path}: " + "; ".join(problems))
