"""The hash of the loss that runs in this process, checked against the files that it was read from.

The hash of a file would be wrong if the file was edited after this process had imported it,
if Python took old bytecode, or if a function was replaced. So each file is read once, those of
``focal_star.losses`` right after their import, and the code that they compile to is compared with
the code that runs.
"""

import ast
import inspect
import sys
from abc import ABCMeta
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from focal_star.identity.loss_code import Source, Sources, is_installed, registered_name

Namespace = Mapping[str, Any]
Definition = ast.FunctionDef | ast.AsyncFunctionDef

_SOURCES = Sources()


class LossCodeError(RuntimeError):
    """It is unknown which code a loss runs; the message says why and what to do."""


def capture(losses: Iterable[Callable[..., Any]]) -> None:
    """Read the files of losses now, so that later edits of them do not count."""
    for loss in losses:
        if file := _namespace(loss).get("__file__"):
            _SOURCES.used_by(Path(file))


def loss_sha256(name: str, loss: Callable[..., Any]) -> str:
    """SHA-256 of the code of the function that is used as a loss.

    It is the hash that :func:`focal_star.identity.loss_code.hashes` gives for the loss's file.

    Args:
        name: the name of the loss in a config.
        loss: the function that ``focal_star.losses.LOSSES`` has under that name.

    Raises:
        LossCodeError: no file registers the function under that name, or something that it uses
            is not what its files contain.
    """
    namespace = _namespace(loss)
    path = Path(namespace.get("__file__", ""))
    source = _SOURCES.get(path)
    if source is None or namespace.get(source.losses().get(name, "")) is not loss:
        raise LossCodeError(
            f"loss {name!r} is {loss!r}, and no file defines it below @named({name!r}): define it "
            "in a file, as docs/own_loss.md shows"
        )
    sources = {source.path: source for source in _SOURCES.used_by(path)}
    names = tuple(path.name for path in sources)
    running = {
        Path(file).resolve(): vars(module)
        for module in list(sys.modules.values())
        if (file := getattr(module, "__file__", None) or "").endswith(names)
    } | {source.path: namespace}
    for source in sources.values():
        if source.path in running:  # else it is not imported yet
            _check(name, source, running[source.path], sources)
    return _SOURCES.sha256(name, path)


def _namespace(loss: object) -> Namespace:
    """The names of the module that defines a function, also one that a decorator wraps."""
    return getattr(inspect.unwrap(loss), "__globals__", {}) if callable(loss) else {}


def _check(loss: str, source: Source, namespace: Namespace, sources: Mapping[Path, Source]) -> None:
    """Compare a module with its file, as far as that can be seen without running it again.

    Raises:
        LossCodeError: they differ, or the module uses a file that the hash does not cover.
    """
    code = compile(source.content, str(source.path), "exec", dont_inherit=True)
    if _is_old_bytecode(source, namespace, code):
        raise LossCodeError(
            f"loss {loss!r} would run old bytecode of {source.path}: delete "
            f"{namespace['__spec__'].cached} and start again"
        )
    for name in _replaced(source.tree.body, code, namespace, _filled_later(source.tree)):
        raise LossCodeError(
            f"loss {loss!r}: {name} differs from {source.path}; the file was changed while this "
            f"process was starting, or {name} was replaced in it: start it again"
        )
    for name, value in namespace.items():
        module = value if isinstance(value, ModuleType) else None
        module = module or sys.modules.get(getattr(value, "__module__", None) or "")
        if module is None or not (path := getattr(module, "__file__", None)):
            continue  # built in
        if value is module and module.__name__ == f"{namespace['__name__']}.{name}":
            continue  # an attribute that the import of a submodule made
        if not Path(path).is_absolute() or not Path(path).exists():
            continue  # made by a program, as torch.ops is
        file = Path(path).resolve()
        if file not in sources and not is_installed(file):
            raise LossCodeError(
                f"loss {loss!r}: {source.path} uses {name} of {file}, which its hash does not "
                "cover: import it with an import statement, from a file beside it"
            )


def _is_old_bytecode(source: Source, namespace: Namespace, code: CodeType) -> bool:
    """Whether Python takes bytecode for a file that is not of its source."""
    spec: Any = namespace.get("__spec__")
    if not getattr(spec, "cached", None) or not hasattr(spec.loader, "get_code"):
        return False
    try:
        return (
            source.path.read_bytes() == source.content and spec.loader.get_code(spec.name) != code
        )
    except OSError:
        return False


def _replaced(
    body: Iterable[ast.stmt],
    code: CodeType,
    namespace: Namespace,
    filled: Container[str],
    owner: str = "",
) -> Iterator[str]:
    """The names of a module or class whose value is not the one that its definition gives them.

    A value that only running the file again would give, such as a table that a call makes, is
    taken to be that of the file.

    Args:
        body: the definitions.
        code: what they compile to.
        namespace: name -> value.
        filled: names of :func:`_filled_later`.
        owner: the name of the class, if it is one.
    """
    times = Counter(name for node in body for name in _bound(node))
    for node in body:
        for name in _bound(node):
            value = namespace.get(_mangled(name, owner))
            if times[name] == 1 and not _has_value(node, name, code, value, filled):
                yield name


def _filled_later(tree: ast.Module) -> set[str]:
    """The names that a file assigns by ``global``, or writes as None and assigns as attributes."""
    parts = [*ast.walk(tree)]
    declared = {name for part in parts if isinstance(part, ast.Global) for name in part.names}
    none = {
        target.id
        for part in parts
        if isinstance(part, ast.Assign | ast.AnnAssign)
        and isinstance(part.value, ast.Constant)
        and part.value.value is None
        for target in (part.targets if isinstance(part, ast.Assign) else [part.target])
        if isinstance(target, ast.Name)
    }
    attributes = {
        part.attr
        for part in parts
        if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store)
    }
    return declared | none & attributes


def _mangled(name: str, owner: str) -> str:
    """The name under which a class keeps a private name."""
    is_private = name.startswith("__") and not name.endswith("__")
    owner = owner.lstrip("_")
    return f"_{owner}{name}" if is_private and owner else name


def _makes_values(cls: type) -> bool:
    """Whether a class's metaclass or bases replace what its body assigns.

    The metaclass of an enum makes members; a named tuple's fields are descriptors.
    """
    return (
        type(cls).__new__ not in (type.__new__, ABCMeta.__new__)
        or (issubclass(cls, tuple) and hasattr(cls, "_fields"))
        or any("__init_subclass__" in vars(base) for base in cls.__mro__[1:-1])
    )


def _bound(node: ast.stmt) -> Iterator[str]:
    """The names that a statement may bind."""
    if isinstance(node, Definition | ast.ClassDef):
        yield node.name
        return
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load):
            yield part.id
        elif isinstance(part, Definition | ast.ClassDef):
            yield part.name
        elif isinstance(part, ast.alias):
            yield part.asname or part.name.partition(".")[0]


def _has_value(
    node: ast.stmt, name: str, code: CodeType, value: object, filled: Container[str]
) -> bool:
    """Whether a value is the one that a statement gives a name, as far as that can be seen."""
    codes = [const for const in code.co_consts if isinstance(const, CodeType)]
    if isinstance(node, ast.ClassDef):
        inside = [code for code in codes if code.co_name == name]
        if node.decorator_list:
            return True
        if not isinstance(value, type):
            return False
        body = node.body
        if _makes_values(value):  # an enum keeps its own __new__ elsewhere
            body = [x for x in body if isinstance(x, Definition) and x.name != "__new__"]
        names = vars(value)
        return any(not [*_replaced(body, code, names, filled, name)] for code in inside)
    if isinstance(node, Definition):
        return _runs(node, codes, value)
    if isinstance(node, ast.ImportFrom) and not node.level:
        (alias,) = (a for a in node.names if name == (a.asname or a.name))
        given = getattr(sys.modules.get(node.module or ""), alias.name, value)
        return value is given or not callable(given)
    if isinstance(node, ast.Import):
        (alias,) = (a for a in node.names if name == (a.asname or a.name.partition(".")[0]))
        return value is sys.modules.get(alias.name if alias.asname else name, value)
    if isinstance(node, ast.Assign | ast.AnnAssign) and len(getattr(node, "targets", [0])) == 1:
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        is_filled = not isinstance(target, ast.Name) or target.id in filled
        return is_filled or _is_written(node.value, value)
    return True


def _runs(node: Definition, codes: list[CodeType], value: Any) -> bool:
    """Whether a function runs the code of its definition, with the defaults there."""
    function = inspect.unwrap(getattr(value, "__func__", value))
    plain = ("staticmethod", "classmethod")
    decorators = [d for d in node.decorator_list if getattr(d, "id", "") not in plain]
    is_decorated = any(registered_name(decorator) is None for decorator in decorators)
    if is_decorated and getattr(function, "__name__", "") != node.name:
        return True  # what a decorator made can be seen only where it says what it wraps
    if not isinstance(function, FunctionType) or function.__code__ not in codes:
        return False
    arguments, by_name = node.args, function.__kwdefaults__ or {}
    given = [*(function.__defaults__ or ()), *(by_name.get(a.arg) for a in arguments.kwonlyargs)]
    written = [*arguments.defaults, *arguments.kw_defaults]
    return len(given) == len(written) and all(map(_is_written, written, given))


def _is_written(written: ast.expr | None, value: object) -> bool:
    """Whether a value is that of a constant expression; yes for any other expression."""
    if written is None:  # an argument without a default
        return True
    try:
        constant = ast.literal_eval(written)
    except (ValueError, TypeError, AttributeError):
        return True
    is_filled_later = isinstance(constant, list | dict | set)
    return is_filled_later or repr(value) == repr(constant)
