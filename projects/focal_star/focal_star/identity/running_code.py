"""Running functions and their code objects: what a callable is made of, and what is the same."""

import functools
from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

STANDARD_LIBRARY = Path(functools.__file__).parent


def functions_in(loss: object) -> Iterator[FunctionType]:
    """The functions that a callable is made of: itself, what it wraps, and those it closes over.

    Those of installed packages are left out, but for the callable itself.
    """
    seen, waiting = set(), deque([loss])
    while waiting:
        found = waiting.popleft()
        if id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, partial):
            waiting += [found.func, *found.args, *found.keywords.values()]
        if isinstance(found, FunctionType):
            if found is loss or not _is_installed(Path(found.__code__.co_filename)):
                yield found
            waiting += [value for _, value in closure(found)]
        waiting += [inner] if (inner := getattr(found, "__wrapped__", None)) is not None else []


def _is_installed(path: Path) -> bool:
    """Whether a file is of the standard library or of an installed package."""
    return STANDARD_LIBRARY in path.parents or not {"site-packages", "dist-packages"}.isdisjoint(
        path.parts
    )


def closure(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """The names and values of other functions that a function uses."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # a cell that is still empty
            continue


def nested(code: CodeType) -> Iterator[CodeType]:
    """A code object and all that are defined inside it."""
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from nested(const)


def runs(function: object, codes: list[CodeType]) -> bool:
    """Whether a function runs one of these code objects."""
    return isinstance(function, FunctionType) and same(function.__code__) in map(same, codes)


def same(value: object) -> str:
    """A text that two constants or code objects have in common if they do the same.

    Line numbers do not count.
    """
    if isinstance(value, CodeType):
        parts = (
            value.co_name, value.co_argcount, value.co_posonlyargcount, value.co_kwonlyargcount,
            value.co_flags, value.co_code, value.co_names, value.co_varnames, value.co_freevars,
            value.co_cellvars, getattr(value, "co_exceptiontable", b""),
        )  # fmt: skip
        return f"code({parts!r},{','.join(map(same, value.co_consts))})"
    if isinstance(value, tuple | list):
        return f"{type(value).__name__}({','.join(map(same, value))})"
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}({','.join(sorted(map(same, value)))})"
    if isinstance(value, dict):
        items = (f"{same(key)}:{same(item)}" for key, item in value.items())
        return f"dict({','.join(items)})"
    return f"{type(value).__name__}({value!r})"
