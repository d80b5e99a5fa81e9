"""The code of a loss as a hash: an edit of what a loss computes gives another hash.

A loss is a function of a file with ``@named("x")`` above it. Its hash covers that file and all
files of the project that it imports, directly or indirectly. Comments, docstrings and formatting
do not count, and the hash is the same under Python 3.10 to 3.14.

This module needs only the standard library, so that cells can be listed without torch.
:mod:`focal_star.identity.running_loss` checks that a process runs what its files contain.
"""

import ast
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
STANDARD_LIBRARY = Path(ast.__file__).resolve().parent

DECORATOR = "named"
"""The decorator that registers a loss, of ``focal_star.losses``."""

IGNORED_FIELDS = {"ctx", "kind", "lineno", "type_comment", "type_ignores"}
"""Fields of syntax nodes that do not change what is computed."""


@dataclass(frozen=True)
class Source:
    """A Python file as it was read.

    Attributes:
        path: resolved.
        content: the file's bytes.
        tree: the file's syntax tree.
    """

    path: Path
    content: bytes
    tree: ast.Module

    @cached_property
    def text(self) -> str:
        """The code without comments, docstrings and formatting."""
        return _text(self.tree)

    def losses(self) -> dict[str, str]:
        """Name of a loss -> name of its function, for the losses that the decorator registers."""
        return {
            name: node.name
            for node in self.tree.body
            if isinstance(node, ast.FunctionDef)
            for decorator in node.decorator_list
            if (name := registered_name(decorator)) is not None
        }

    @cached_property
    def imports(self) -> tuple[Path, ...]:
        """The files of the project that it imports, wherever in the file it does.

        An import of ``a.b`` does not count for the ``__init__.py`` of ``a``, except for
        ``import a.b``, which makes ``a`` usable.
        """
        return tuple(dict.fromkeys(self._imported()))

    def _imported(self) -> Iterator[Path]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    parts = alias.name.split(".")
                    first = len(parts) if alias.asname else 1
                    for end in range(first, len(parts) + 1):
                        yield from self._found(".".join(parts[:end]), 0)
            elif isinstance(node, ast.ImportFrom):
                module = node.module or ""
                for alias in node.names:
                    submodule = f"{module}.{alias.name}".strip(".")
                    submodules = [*self._found(submodule, node.level)]
                    yield from submodules or self._found(module, node.level)

    def _found(self, module: str, level: int) -> Iterator[Path]:
        """The file of a module that is imported here, if it is one of the project.

        Absolute imports are looked up beside this file's package, beside focal_star and in
        ``PYTHONPATH``.
        """
        if level:
            roots = [self.path.parents[level - 1]] if level <= len(self.path.parents) else []
        else:
            variable = os.environ.get("PYTHONPATH", "").split(os.pathsep)
            roots = [
                _root(self.path),
                PACKAGE.parent,
                *(Path(folder) for folder in variable if folder),
            ]
        parts = [part for part in module.split(".") if part]
        for root in roots:
            place = root.joinpath(*parts).resolve()
            files = [
                place / "__init__.py",
                *([place.with_name(f"{place.name}.py")] if parts else []),
            ]
            for file in files:
                if file.is_file():
                    if level or not is_installed(file):
                        yield file
                    return


class Sources:
    """Reads each file once, so that a later edit of the file has no effect."""

    def __init__(self):
        self._read: dict[Path, Source | None] = {}

    def get(self, path: Path) -> Source | None:
        """None where the file cannot be read or is not Python."""
        path = path.resolve()
        if path not in self._read:
            try:
                content = path.read_bytes()
                self._read[path] = Source(path, content, ast.parse(content))
            except (OSError, SyntaxError, ValueError, RecursionError):
                self._read[path] = None
        return self._read[path]

    def used_by(self, path: Path) -> list[Source]:
        """A file and those of the project that it imports, directly or indirectly."""
        sources, waiting = {}, [path.resolve()]
        while waiting:
            path = waiting.pop()
            if path not in sources and (source := self.get(path)):
                sources[path] = source
                waiting += source.imports
        return [*sources.values()]

    def sha256(self, loss: str, path: Path) -> str:
        """SHA-256 of the code of a loss that a file registers."""
        texts = [loss, *(source.text for source in self.used_by(path))]
        return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def hashes(package: Path = PACKAGE) -> dict[str, str]:
    """Name of a loss -> SHA-256 of its code, for all losses that a package's files register.

    A file that cannot be read or is not Python has no losses; a training reports the error.

    Args:
        package: the folder of a package ``focal_star``.
    """
    sources = Sources()
    hash_of: dict[str, str] = {}
    for path in sorted(package.rglob("*.py")):
        module = path.relative_to(package).with_suffix("")
        if not path.is_file() or not all(part.isidentifier() for part in module.parts):
            continue  # an editor's lock or backup, which nothing imports
        if f"{DECORATOR}(".encode() in path.read_bytes() and (source := sources.get(path)):
            hash_of |= {loss: sources.sha256(loss, path) for loss in source.losses()}
    return hash_of


def registered_name(decorator: ast.expr) -> str | None:
    """The name under which a decorator registers a loss; None for another decorator."""
    if not isinstance(decorator, ast.Call):
        return None
    called = getattr(decorator.func, "id", getattr(decorator.func, "attr", None))
    values = [*decorator.args, *(keyword.value for keyword in decorator.keywords)]
    if called != DECORATOR or len(values) != 1:
        return None
    (name,) = values
    return name.value if isinstance(name, ast.Constant) and isinstance(name.value, str) else None


def is_installed(file: Path) -> bool:
    """Whether a file is of the standard library or of an installed package other than this one."""
    if PACKAGE in file.parents:
        return False
    folders = {"site-packages", "dist-packages"}
    return STANDARD_LIBRARY in file.parents or not folders.isdisjoint(file.parts)


def _root(path: Path) -> Path:
    """The folder from which a file's package is imported."""
    folder = path.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _text(node: object) -> str:
    """A syntax node as text that is the same in every version of Python that knows the node.

    ``ast.dump`` and ``ast.unparse`` change between versions.
    """
    if isinstance(node, ast.JoinedStr):
        return f"JoinedStr({','.join(_pieces(node))})"
    if isinstance(node, ast.AST):
        fields = {name: getattr(node, name, None) for name in sorted(node._fields)}
        inside = ",".join(
            f"{name}={_text(value)}"
            for name, value in fields.items()
            if name not in IGNORED_FIELDS and value is not None and value != []
        )
        return f"{type(node).__name__}({inside})"
    if isinstance(node, list):
        return f"[{','.join(_text(item) for item in node if not _is_docstring(item))}]"
    return ascii(node)  # repr depends on the version's Unicode tables


def _is_docstring(node: object) -> bool:
    """Whether a statement is a docstring, or another constant without effect."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _pieces(node: ast.JoinedStr) -> list[str]:
    """The texts and values of an f-string; versions of Python split its texts differently."""
    pieces: list[str] = []
    for is_text, values in groupby(node.values, lambda value: isinstance(value, ast.Constant)):
        if is_text:
            texts = [str(value.value) for value in values if isinstance(value, ast.Constant)]
            pieces.append(ascii("".join(texts)))
        else:
            pieces += map(_text, values)
    return [piece for piece in pieces if piece != "''"]
