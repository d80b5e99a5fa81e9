"""The code of the losses as a hash, so that a changed loss makes its records stale.

``NUMERICS`` of :mod:`ablations.fingerprint` stands for the losses as they come with the project. A
new loss, or one of those that was changed, is known by the hash of its code.
"""

import ast
import hashlib
from pathlib import Path

LOSSES_FILE = Path(__file__).resolve().parents[1] / "projects/focal_star/focal_star/losses.py"

DECORATOR = "named"
"""What a loss has its name from, ``focal_star.losses.named``."""

SHIPPED = {
    "ce": "0cbfab543364e8f1c6dea87289e4ebc59e12cf943311d85f90356eb87b054f8a",
    "focal": "746115f8522aed675d6624842e869c9a5e65f4b19d22941f94bb345ac0a30ece",
    "focal_star": "aa07fb00fc7aa622d2453dba813958fe9a77a1a3641f4bc47814b122cde6ec03",
    "focal_appendix": "bb0212b6f9e5acb4ecf20dac16c7c1aaa03fe414e66a7f0611c33261d407f4d7",
}
"""Loss -> the hash of the code that ``NUMERICS`` stands for.

Where a change of that code moves no number, its new hash goes here; where it does, ``NUMERICS`` is
raised too.
"""


def own_code(loss: str, file: Path = LOSSES_FILE) -> str:
    """The hash of a loss's code; "" where it is as it comes with the project, or is not there.

    Args:
        loss: its name in configs.
        file: of the losses.
    """
    found = hashes(file).get(loss, "")
    return "" if found == SHIPPED.get(loss) else found


def hashes(file: Path = LOSSES_FILE) -> dict[str, str]:
    """Loss -> SHA-256 of its function and of all that it uses of the file.

    Comments, docstrings, blank lines and indentation do not count. A file that is no Python, or is
    not there, has no losses: the training says so.
    """
    try:
        source = file.read_text(encoding="utf-8")
        tree = ast.parse(source)
    except (OSError, SyntaxError, ValueError):
        return {}
    definitions = {name: node for node in tree.body for name in _defined_by(node)}
    uses = {
        name: {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} & definitions.keys()
        for name, node in definitions.items()
    }
    lines = source.splitlines()
    found = {}
    for name, node in definitions.items():
        for loss in _names_of_losses(node):
            used = _closure(name, uses) - {DECORATOR, "LOSSES"}
            text = "\n".join(_code(definitions[other], lines) for other in sorted(used))
            found[loss] = hashlib.sha256(text.encode()).hexdigest()
    return found


def _defined_by(node: ast.stmt) -> list[str]:
    """The names that a statement of the module defines: a function, a class, or constants."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _names_of_losses(node: ast.stmt) -> list[str]:
    """The names that a function is entered under."""
    return [
        call.args[0].value
        for call in getattr(node, "decorator_list", ())
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == DECORATOR
        and call.args
        and isinstance(call.args[0], ast.Constant)
    ]


def _closure(name: str, uses: dict[str, set[str]]) -> set[str]:
    """A definition and all that it uses, and that those use."""
    found, new = set(), {name}
    while new:
        found |= new
        new = set().union(*(uses[one] for one in new)) - found
    return found


def _code(node: ast.stmt, lines: list[str]) -> str:
    """The source of a definition without comments, docstring and layout."""
    left_out = {
        number
        for part in ast.walk(node)
        if isinstance(part, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(part) is not None
        for number in range(part.body[0].lineno, part.body[0].end_lineno + 1)
    }
    numbers = (n for n in range(node.lineno, node.end_lineno + 1) if n not in left_out)
    kept = (lines[number - 1].strip() for number in numbers)
    return "\n".join(line for line in kept if line and not line.startswith("#"))
