"""The code of a loss as a hash: an edit of what a loss computes gives another hash.

The hash covers the function of a loss and everything that it uses, directly or indirectly: helper
functions, classes, constants, imports, and statements of a module that are no definitions. Helpers
that are imported from other files of the project are included. Comments, docstrings and layout do
not count, and the hash is the same under Python 3.10 to 3.14.

This module needs the standard library alone, so that cells are listed where torch is not installed.
What runs in a process is checked against its files by :mod:`focal_star.identity.running_loss`.
"""

import ast
import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
LOSSES_FILE = PACKAGE / "losses" / "__init__.py"

DECORATOR = "named"
"""The decorator that registers a loss, ``focal_star.losses.named``."""

REACHES_ALL = {"__import__", "eval", "exec", "globals", "importlib", "locals", "sys", "vars"}
"""Code that uses one of these names may use any name of its module."""

WITHOUT_EFFECT = {"ctx", "kind", "lineno", "type_comment", "type_ignores"}
"""Fields of syntax nodes that change nothing of what is computed."""

Name = tuple[Path, str | None]
"""A name of a file; None for everything in the file."""


@dataclass(frozen=True)
class Part:
    """A statement of a module, or one name of an import statement.

    Attributes:
        file: of the module.
        node: the statement.
        text: the statement without comments, docstrings and layout.
        binds: names of the module that it may bind.
        always: whether it counts for every loss of the module.
        uses: names that it mentions.
        imports: what it imports from files of the project.
    """

    file: Path
    node: ast.stmt
    text: str
    binds: frozenset[str]
    always: bool
    uses: frozenset[str]
    imports: tuple[Name, ...] = ()

    @property
    def first_line(self) -> int:
        """Its first line, that of a decorator included."""
        decorators = getattr(self.node, "decorator_list", ())
        return min(node.lineno for node in (self.node, *decorators))

    @property
    def last_line(self) -> int:
        return self.node.end_lineno


class Module:
    """A file's statements.

    Attributes:
        path: the file.
        source: its bytes.
        parts: the statements that have an effect, in their order.
    """

    def __init__(self, path: Path, source: bytes):
        """
        Raises:
            SyntaxError, ValueError: the source is no Python.
        """
        self.path, self.source = path, source
        self.parts = tuple(
            part for node in ast.parse(source).body for part in _parts_of(path, node)
        )

    def binding(self, name: str) -> list[Part]:
        """The statements that may bind a name."""
        return [part for part in self.parts if name in part.binds]

    def losses(self) -> dict[str, str]:
        """Name of a loss -> name of its function, for losses that the decorator registers."""
        return {
            loss: part.node.name
            for part in self.parts
            if isinstance(part.node, ast.FunctionDef)
            for decorator in part.node.decorator_list
            if (loss := registered_name(decorator)) is not None
        }


class Modules:
    """Files of losses, each read once."""

    def __init__(self, read: Callable[[Path], bytes] = Path.read_bytes):
        self._read = read
        self._modules: dict[Path, Module | None] = {}

    def get(self, path: Path) -> Module | None:
        """None where the file cannot be read or is no Python."""
        if path not in self._modules:
            try:
                self._modules[path] = Module(path, self._read(path))
            except (OSError, SyntaxError, ValueError, RecursionError):
                self._modules[path] = None
        return self._modules[path]

    def code(self, path: Path, name: str | None, with_always: bool = True) -> list[Part]:
        """A name's statements and those that they use, directly or indirectly.

        Args:
            path: of a module.
            name: of a function or constant there; None for the whole module.
            with_always: whether the statements that always count, and what they use, are included.

        Returns:
            The statements, module by module in the order of their use, as they follow each other
            in a module.
        """
        found: dict[Path, set[int]] = {}
        seen, waiting = set(), deque([(path, name)])
        while waiting:
            name_of_file = waiting.popleft()
            if name_of_file in seen:
                continue
            seen.add(name_of_file)
            file, name = name_of_file
            if (module := self.get(file)) is None:
                continue
            chosen = found.setdefault(file, set())
            for number, part in enumerate(module.parts):
                counts = name is None or (with_always and part.always) or name in part.binds
                if number in chosen or not counts:
                    continue
                chosen.add(number)
                waiting += [(file, used) for used in sorted(part.uses)]
                waiting += [self._with_name(imported) for imported in part.imports]
                if part.uses & REACHES_ALL:
                    waiting.append((file, None))
        return [self.get(file).parts[number] for file in found for number in sorted(found[file])]

    def sha256(self, path: Path, name: str | None) -> str:
        """SHA-256 of :meth:`code`."""
        text = "\n".join(part.text for part in self.code(path, name))
        return hashlib.sha256(text.encode()).hexdigest()

    def _with_name(self, imported: Name) -> Name:
        """The whole module in place of a name that it does not bind."""
        path, name = imported
        module = self.get(path)
        return imported if name and module and module.binding(name) else (path, None)


def hashes(files: Iterable[Path] | None = None, package: Path | None = None) -> dict[str, str]:
    """Name of a loss -> SHA-256 of its code.

    A file that cannot be read or is no Python has no losses; a training reports the error.

    Args:
        files: that define losses; None for ``losses.py`` and every other file of the package
            that registers a loss.
        package: the folder of a package ``focal_star``; None for this one.
    """
    modules = Modules()
    return {
        loss: modules.sha256(path, function)
        for path in (_files_of_losses(package or PACKAGE) if files is None else files)
        if (module := modules.get(path))
        for loss, function in module.losses().items()
    }


def registered_name(decorator: ast.expr) -> str | None:
    """The name under which a decorator registers a loss; None for another decorator."""
    if not isinstance(decorator, ast.Call):
        return None
    called = getattr(decorator.func, "id", getattr(decorator.func, "attr", None))
    values = [*decorator.args, *(keyword.value for keyword in decorator.keywords)]
    if called != DECORATOR or len(values) != 1 or not isinstance(values[0], ast.Constant):
        return None
    return values[0].value


def _files_of_losses(package: Path) -> Iterator[Path]:
    losses = package / LOSSES_FILE.relative_to(PACKAGE)
    yield losses
    for path in sorted(package.rglob("*.py")):
        if path != losses and f"{DECORATOR}(".encode() in path.read_bytes():
            yield path


def _parts_of(path: Path, node: ast.stmt) -> Iterator[Part]:
    if _is_text(node) or _runs_as_a_script_only(node):
        return
    if isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            bound = alias.asname or alias.name.partition(".")[0]
            always = alias.name == "*" or getattr(node, "module", None) == "__future__"
            yield Part(
                path,
                node,
                f"{_text(alias)} of {getattr(node, 'module', None)} {getattr(node, 'level', 0)}",
                frozenset([bound]),
                always,
                frozenset(),
                tuple(_imported(path, node, alias)),
            )
        return
    names = _defined_by(node)
    inside = list(ast.walk(node))
    yield Part(
        path,
        node,
        _text(node),
        frozenset(_bound_inside(inside) if names is None else names),
        names is None,
        frozenset(part.id for part in inside if isinstance(part, ast.Name)),
        tuple(
            imported
            for part in inside
            if isinstance(part, ast.Import | ast.ImportFrom)
            for alias in part.names
            for imported in _imported(path, part, alias)
        ),
    )


def _defined_by(node: ast.stmt) -> list[str] | None:
    """The names that a statement defines; None where it does something else, or more."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        leaves = [
            leaf
            for target in targets
            for leaf in (target.elts if isinstance(target, ast.Tuple | ast.List) else [target])
        ]
        if all(isinstance(leaf, ast.Name) for leaf in leaves):
            return [leaf.id for leaf in leaves]
    return None


def _bound_inside(inside: list[ast.AST]) -> Iterator[str]:
    for part in inside:
        if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load):
            yield part.id
        elif isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield part.name
        elif isinstance(part, ast.alias):
            yield part.asname or part.name.partition(".")[0]


def _is_text(node: object) -> bool:
    """Whether a statement is a docstring, or another constant without effect."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _runs_as_a_script_only(node: ast.stmt) -> bool:
    """Whether it is ``if __name__ == "__main__":``, which is a program and no definition."""
    return isinstance(node, ast.If) and _text(node.test) == _MAIN


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
            if name not in WITHOUT_EFFECT and value is not None and value != []
        )
        return f"{type(node).__name__}({inside})"
    if isinstance(node, list):
        return f"[{','.join(_text(item) for item in node if not _is_text(item))}]"
    return ascii(node)  # repr depends on the version's Unicode tables


def _pieces(node: ast.JoinedStr) -> list[str]:
    """The texts and values of an f-string; versions of Python split its texts differently."""
    pieces = []
    for is_text, group in groupby(node.values, lambda value: isinstance(value, ast.Constant)):
        values = list(group)
        pieces += [ascii("".join(v.value for v in values))] if is_text else map(_text, values)
    return [piece for piece in pieces if piece != "''"]


_MAIN = _text(ast.parse('__name__ == "__main__"', mode="eval").body)


def _imported(path: Path, node: ast.Import | ast.ImportFrom, alias: ast.alias) -> Iterator[Name]:
    """What one name of an import statement has from a file of the project, if anything."""
    if isinstance(node, ast.Import):
        if file := _file_of(path, alias.name, 0):
            yield file, None
        return
    module = _file_of(path, node.module or "", node.level)
    submodule = _file_of(path, f"{node.module or ''}.{alias.name}".strip("."), node.level)
    if submodule:
        yield submodule, None
    elif module:
        yield module, None if alias.name == "*" else alias.name


def _file_of(path: Path, module: str, level: int) -> Path | None:
    """The file of a module that a file imports; None for one that is not of the project.

    The project is the file's own package, or the folder of a file without a package, and this
    package.
    """
    parts = [part for part in module.split(".") if part]
    if level:
        folder = path.parents[level - 1] if level <= len(path.parents) else path.parent
    else:
        folder = path.parent
        while (folder / "__init__.py").is_file():
            folder = folder.parent
        is_of_package = folder != path.parent
        if not is_of_package or path.relative_to(folder).parts[0] != parts[0]:
            if parts[0] == PACKAGE.name:
                folder = PACKAGE.parent
            elif is_of_package or folder.name in ("site-packages", "dist-packages"):
                return None
    place = folder.joinpath(*parts)
    for file in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
        if parts and file.is_file():
            return file
    return place / "__init__.py" if not parts and (place / "__init__.py").is_file() else None
