"""Compares values that were read with a schema, a :class:`msgspec.Struct`."""

import difflib
import re
import types
from collections.abc import Iterable, Mapping
from typing import Any, get_args, get_origin

import msgspec

from focal_star.io.quoting import shown

_KINDS = {
    "str": "text", "int": "a whole number", "float": "a number", "bool": "true or false",
    "array": "a list", "object": "a mapping", "null": "nothing",
}  # fmt: skip


def name_of(key: Any) -> str:
    """A key as a message shows it: without quotes if it is text."""
    return shown(key)[1:-1] if isinstance(key, str) else shown(key)


def unknown(what: str, names: Iterable[Any], known: Iterable[str]) -> str:
    """For example ``unknown axis gama; known: alpha, gamma; did you mean gamma?``."""
    names, known = [name_of(name) for name in names], list(known)
    close = [match for name in names for match in difflib.get_close_matches(name, known, 1, 0.7)]
    hint = f"; did you mean {', '.join(close)}?" if close else ""
    return f"unknown {what} {', '.join(names)}; known: {', '.join(known)}{hint}"


def check(
    content: Mapping[Any, Any], schema: type[msgspec.Struct], within: str = ""
) -> tuple[dict[str, Any], list[str]]:
    """Compare all keys of a mapping with a schema.

    Args:
        content: plain values, as YAML or JSON has them.
        schema: the keys, their types and bounds. No value is converted to another type, but a
            whole number may take the place of a float.
        within: the prefix of the keys' names in messages.

    Returns:
        The values that fit, by name, and one line for each problem with the others.
    """
    fields = {field.encode_name: field for field in msgspec.structs.fields(schema)}
    problems = [
        f"{within}{name} is missing"
        for name, field in fields.items()
        if field.required and name not in content
    ]
    where = within.replace(".", ": ")
    problems += [f"{where}{unknown('key', [k], fields)}" for k in content if k not in fields]
    usable = {
        name: convert(content[name], field.type, f"{within}{name}", problems)
        for name, field in fields.items()
        if name in content
    }
    return {name: value for name, value in usable.items() if value is not ...}, problems


def convert(value: Any, kind: Any, name: str, problems: list[str]) -> Any:
    """The value as a type of a schema; if it does not fit, ``...`` and lines in ``problems``."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        before, message = len(problems), str(error)
    options = [option for option in get_args(kind) or [kind] if option is not types.NoneType]
    inner = options[0] if isinstance(kind, types.UnionType) and len(options) == 1 else kind
    if isinstance(value, dict) and isinstance(inner, type) and issubclass(inner, msgspec.Struct):
        problems += check(value, inner, f"{name}.")[1]
    elif isinstance(value, dict) and get_origin(inner) is dict:
        key_kind, value_kind = get_args(inner)
        for key, item in value.items():
            convert(key, key_kind, f"a key of {name}", problems)
            convert(item, value_kind, f"{name}.{name_of(key)}", problems)
    if len(problems) == before:
        problems.append(f"{name} is {shown(value)}: {_words(message, inner, name)}")
    return ...


def _words(message: str, kind: Any, name: str) -> str:
    """msgspec's message in the words of YAML."""

    def kinds(match: re.Match[str]) -> str:
        names = match[1].split(" | ")
        if "float" in names and "int" in names:
            names.remove("int")
        return "expected " + " or ".join(_KINDS.get(word, word) for word in names)

    message = message.replace(" - at `$", f" - at `{name.rpartition('.')[2]}")
    message = re.sub(r"got `(\w+)`", lambda match: f"got {_KINDS.get(match[1], match[1])}", message)
    message = re.sub(r"Expected `([^`]*)`", kinds, message)
    valid = ", ".join(map(str, get_args(kind)))
    message = re.sub(r"Invalid enum value .*", lambda _: f"valid: {valid}", message)
    return re.sub(r"matching regex '.*'", lambda _: _form_of(kind), message)


def _form_of(kind: Any) -> str:
    """The description of a type's pattern."""
    metas = [meta for meta in getattr(kind, "__metadata__", ()) if meta.pattern]
    return metas[0].description if metas else next(filter(None, map(_form_of, get_args(kind))), "")
