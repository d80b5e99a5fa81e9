"""The hash of the loss that runs in this process, checked against the files that it was read from.

A hash of a file alone would be wrong where the file was edited after this process had imported it,
where Python took old bytecode, or where a function was replaced in a session. So each file is read
once, ``losses.py`` right after its import, and what it compiles to is compared with what runs.
"""

import ast
import hashlib
import linecache
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from focal_star import losses
from focal_star.identity.loss_code import Module, Modules, Part, registered_name
from focal_star.identity.running_code import closure, functions_in, nested, runs, same


class LossCodeError(RuntimeError):
    """It is unknown which code a loss runs; the message says why and what to do."""


def running_loss_code(name: str) -> str:
    """SHA-256 of the code that the loss ``name`` of ``focal_star.losses.LOSSES`` runs.

    For a loss that is registered as docs/own_loss.md shows, it is the hash that
    :func:`focal_star.identity.loss_code.hashes` gives for the file.

    Raises:
        ValueError: no loss has the name.
        LossCodeError: the code that runs is not that of its file, or it has no source.
    """
    if name not in losses.LOSSES:
        raise ValueError(f"loss {name!r} is not registered; valid: {', '.join(losses.LOSSES)}")
    return code_of(name, losses.LOSSES[name])


def code_of(name: str, loss: Callable[..., Any]) -> str:
    """SHA-256 of the code of a function that is used as the loss ``name``.

    Args:
        name: of the loss in a config.
        loss: a function; or a ``functools.partial`` of one, or a decorated one, whose parts all
            count.

    Raises:
        LossCodeError: as :func:`running_loss_code` says.
    """
    functions = list(functions_in(loss))
    if not functions:
        raise LossCodeError(
            f"loss {name!r} is {loss!r}; valid: a function, or a functools.partial of one"
        )
    for function in functions:
        path, module = _file_and_module(function)
        defined = module.losses().get(name)
        if defined is None or not runs(function, _code_objects(path, defined)):
            continue
        (*_, part) = module.binding(defined)
        if loss is function or _is_decorated(part.node):
            if not _has_defaults(function, part.node.args):
                raise _changed(name, f"the defaults of {defined}", path, function.__globals__)
            _check(name, path, {defined}, function.__globals__)
            return _MODULES.sha256(path, defined)
    texts = [_values(loss)]
    for function in functions:
        path, module = _file_and_module(function)
        defined = _definition(name, function, path, module)
        codes = nested(function.__code__)
        _check(name, path, {used for code in codes for used in code.co_names}, function.__globals__)
        texts += [_MODULES.sha256(path, defined), _values(function)]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _values(loss: Callable[..., Any]) -> str:
    """The plain values that a callable holds: those of a partial, of defaults and of a closure."""
    if isinstance(loss, partial):
        held = [*enumerate(loss.args), *sorted(loss.keywords.items())]
    elif isinstance(loss, FunctionType):
        defaults = [*enumerate(loss.__defaults__ or ()), *(loss.__kwdefaults__ or {}).items()]
        held = [*defaults, *closure(loss)]
    else:
        held = []
    plain = (bool, int, float, complex, str, bytes, type(None))
    return ",".join(f"{key}={same(value)}" for key, value in held if isinstance(value, plain))


def _file_and_module(function: FunctionType) -> tuple[Path, Module]:
    """The source of a function.

    Raises:
        LossCodeError: there is none.
    """
    path = Path(function.__code__.co_filename)
    if not path.is_file() and "__file__" in function.__globals__:
        path = Path(function.__globals__["__file__"])
    if (module := _MODULES.get(path)) is None:
        raise LossCodeError(
            f"the source of the loss function {function.__qualname__} ({path}) cannot be read; "
            "define it in a file"
        )
    return path, module


def _read(path: Path) -> bytes:
    """The bytes of a file; of a notebook's cell, its text."""
    try:
        return path.read_bytes()
    except OSError:
        if lines := linecache.getlines(str(path)):
            return "".join(lines).encode()
        raise


_MODULES = Modules(_read)


@lru_cache(None)
def _compiled(path: Path) -> CodeType:
    return compile(_MODULES.get(path).source, str(path), "exec", dont_inherit=True)


def _code_objects(path: Path, name: str) -> list[CodeType]:
    """What the top-level functions and classes of a name compile to."""
    inside = (const for const in _compiled(path).co_consts if isinstance(const, CodeType))
    return [code for code in inside if code.co_name == name]


def _definition(name: str, function: FunctionType, path: Path, module: Module) -> str:
    """The top-level name in whose definition a function is; "" if its statement defines none.

    Raises:
        LossCodeError: the function is nowhere in the file.
    """
    for code in nested(_compiled(path)):
        if runs(function, [code]):
            line = code.co_firstlineno
            inside = [part for part in module.parts if part.first_line <= line <= part.last_line]
            return min((name for part in inside for name in part.binds), default="")
    raise _changed(name, function.__qualname__, path, function.__globals__)


def _check(loss: str, path: Path, names: set[str], namespace: Mapping[str, Any]) -> None:
    """Compare what a loss uses, directly or indirectly, with what it is in this process.

    A value that only running the file again would give, such as a table that a call makes, is
    taken to be that of the file.

    Args:
        loss: its name, for the message.
        path: of its module.
        names: of its definition there, or of what it uses.
        namespace: of that module.

    Raises:
        LossCodeError: they differ.
    """
    namespaces = {path: namespace}
    parts = (_MODULES.code(path, name, with_always=False) for name in sorted(names))
    for part in dict.fromkeys(chain.from_iterable(parts)):
        if part.file not in namespaces:
            namespaces[part.file] = _namespace(part.file)
        running = namespaces[part.file]
        if running is None or part.always:  # not imported yet, or of no definition
            continue
        for bound in part.binds:
            if not _runs(part, bound, running):
                raise _changed(loss, bound, part.file, running)


def _assigned(node: ast.stmt, name: str) -> ast.expr | None:
    """The expression that an assignment gives a name; None where it gives a part of one."""
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    if isinstance(node, ast.AugAssign) or name not in [getattr(t, "id", None) for t in targets]:
        return None
    return node.value


def _namespace(path: Path) -> Mapping[str, Any] | None:
    """The names of the module that was imported from a file; None if none was."""
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) == str(path):
            return vars(module)
    return None


def _runs(part: Part, name: str, namespace: Mapping[str, Any]) -> bool:
    """Whether a name has the value that a statement gives it, as far as that can be seen."""
    node, codes = part.node, _code_objects(part.file, name)
    if name not in namespace or len(_MODULES.get(part.file).binding(name)) > 1:
        return len(_MODULES.get(part.file).binding(name)) > 1
    value = namespace[name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return _is_imported(part, name, value)
    if isinstance(node, ast.ClassDef):
        return bool(node.decorator_list) or (
            isinstance(value, type) and any(_is_class(node, value, code) for code in codes)
        )
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        if node.decorator_list:
            return _is_defined_by(codes, value, False)
        return runs(value, codes) and _has_defaults(value, node.args)
    written = _assigned(node, name)
    if isinstance(written, ast.Lambda):
        return runs(value, _code_objects(part.file, "<lambda>"))
    return _has_value(value, written)


def _is_defined_by(codes: list[CodeType], value: object, is_bare: bool) -> bool:
    """Whether a function's value runs one of these code objects, itself or inside decorators.

    What a decorator made, if it is no function, cannot be seen.
    """
    if is_bare:
        return runs(value, codes)
    functions = list(functions_in(value))
    return not functions or any(runs(function, codes) for function in functions)


def _is_class(node: ast.ClassDef, value: type, code: CodeType) -> bool:
    """Whether the methods and constants of a class are those of its definition."""
    codes = [const for const in code.co_consts if isinstance(const, CodeType)]
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            method = vars(value).get(inner.name)
            function = getattr(method, "__func__", method)
            mine = [code for code in codes if code.co_name == inner.name]
            kinds = {getattr(decorator, "id", "") for decorator in inner.decorator_list}
            if not _is_defined_by(mine, function, kinds <= {"staticmethod", "classmethod"}):
                return False
        elif isinstance(inner, ast.Assign | ast.AnnAssign):
            targets = inner.targets if isinstance(inner, ast.Assign) else [inner.target]
            names = {getattr(target, "id", None) for target in targets} & vars(value).keys()
            if not all(_has_value(vars(value)[name], inner.value) for name in names):
                return False
    return True


def _is_imported(part: Part, name: str, value: object) -> bool:
    """Whether a name is what an import statement gives it."""
    if isinstance(part.node, ast.Import):
        (alias,) = (a for a in part.node.names if name in (a.asname, a.name.partition(".")[0]))
        module = sys.modules.get(alias.name if alias.asname else name)
        return module is None or value is module
    (alias,) = (a for a in part.node.names if name == (a.asname or a.name))
    if part.node.level:
        return True
    given = getattr(sys.modules.get(part.node.module), alias.name, value)
    return value is given or not (callable(given) or isinstance(given, ModuleType))


def _has_defaults(function: FunctionType, arguments: ast.arguments) -> bool:
    given = function.__kwdefaults__ or {}
    keyword_only = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return (
        len(function.__defaults__ or ()) == len(arguments.defaults)
        and all(map(_has_value, function.__defaults__ or (), arguments.defaults))
        and all(
            _has_value(given[argument.arg], default) if default else argument.arg not in given
            for argument, default in keyword_only
        )
    )


def _has_value(value: object, written: ast.expr | None) -> bool:
    """Whether a value is that of a constant expression; yes for any other expression.

    An empty container is one that the module fills.
    """
    try:
        constant = ast.literal_eval(written)
    except (ValueError, TypeError):
        return True
    return constant in ({}, [], set()) or same(value) == same(constant)


def _is_decorated(node: ast.stmt) -> bool:
    """Whether a definition has a decorator besides that of its loss."""
    return any(registered_name(decorator) is None for decorator in node.decorator_list)


def _changed(loss: str, name: str, path: Path, namespace: Mapping[str, Any]) -> LossCodeError:
    if _is_old_bytecode(path, namespace):
        cached = namespace["__spec__"].cached
        return LossCodeError(
            f"loss {loss!r} would run old bytecode of {path}: delete {cached} and start again"
        )
    return LossCodeError(
        f"loss {loss!r}: {name} differs from {path}; the file was changed while this process "
        f"was starting, or {name} was replaced in it: start it again"
    )


def _is_old_bytecode(path: Path, namespace: Mapping[str, Any]) -> bool:
    """Whether an import of a module takes bytecode that is not of its source."""
    spec = namespace.get("__spec__")
    get_code = getattr(getattr(spec, "loader", None), "get_code", None)
    if get_code is None or not getattr(spec, "cached", None) or spec.origin != str(path):
        return False
    compiled = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    return same(get_code(spec.name)) != same(compiled)


_MODULES.get(Path(losses.__file__))  # as near to the import as can be
