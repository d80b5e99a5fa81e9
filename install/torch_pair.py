"""torch and torchvision: installed as one matching pair, and seen to be one."""

from install.diagnosis import telling_line
from install.pins import torch_pair
from install.running import Runner, SetupError
from install.target import Contents, Target, require_look

PAIR = ("torch", "torchvision")

# torchvision's compiled operators load only into the torch that they were built for.
TRY_TORCH = "import torch; torch.ones(1) + 1"
TRY_OPERATORS = """
import torch
from torchvision.ops import nms
boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9]])
kept = nms(boxes, torch.tensor([1.0, 0.9]), 0.5)
assert kept.tolist() == [0], kept
"""


def wanted_versions(target: Target, found: Contents) -> dict[str, str]:
    """The versions of torch and torchvision that the environment shall have.

    Args:
        target: the environment.
        found: its Python, and what it has of the two.

    Returns:
        The pinned pair; in a user's environment what is there, and nothing for a half that is
        missing beside one that is there: pip then finds the one that goes with it.
    """
    present = {name: version for name, version in found.versions.items() if version is not None}
    if target.ours or not present:
        return torch_pair(found.python)
    return present


def install_pair(target: Target, runner: Runner) -> dict[str, str]:
    """Installs what is missing of torch and torchvision and checks that they go together.

    Returns:
        The installed versions, for pip to keep when it installs more.

    Raises:
        SetupError: they cannot be had, or do not go together.
    """
    found = require_look(target, PAIR, runner)
    wanted = wanted_versions(target, found)
    if any(not satisfies(found.versions[name], wanted.get(name)) for name in PAIR):
        requirements = [f"{name}=={wanted[name]}" if name in wanted else name for name in PAIR]
        runner.run([target.python, "-m", "pip", "install", *requirements])
    check_pair(target, runner)
    installed = require_look(target, PAIR, runner).versions
    return {name: version for name, version in installed.items() if version is not None}


def satisfies(found: str | None, wanted: str | None) -> bool:
    """Whether an installed version will do: the wanted one, in whatever build (+cpu, +cu130)."""
    if found is None:
        return False
    return wanted is None or found == wanted or found.split("+")[0] == wanted


def check_pair(target: Target, runner: Runner) -> None:
    """Runs one of torchvision's compiled operators.

    Raises:
        SetupError: torch does not load, or the two were not built for one another.
    """
    status, output = runner.attempt([target.python, "-c", TRY_OPERATORS])
    if status == 0:
        return
    found = require_look(target, PAIR, runner)
    torch, torchvision = (f"{name} {found.versions[name]}" for name in PAIR)
    alone, output_alone = runner.attempt([target.python, "-c", TRY_TORCH])
    if alone != 0:
        problem = f"{torch} cannot be loaded ({telling_line(output_alone)})"
    else:
        problem = f"{torch} and {torchvision} do not go together ({telling_line(output)})"
    raise SetupError(f"{problem}. {remedy(target, found)}")


def remedy(target: Target, found: Contents) -> str:
    """What to do about a pair that does not work."""
    if target.ours:
        # Three equals signs: a build of the same version with a suffix (+cpu) will not do.
        wanted = wanted_versions(target, found)
        pair = " ".join(f"'{name}==={version}'" for name, version in wanted.items())
        return (
            f"Run {target.name()} -m pip install --force-reinstall {pair} and then make setup again"
        )
    return (
        "Install the torchvision that was built for this torch, from the same index and of the "
        "same kind (CPU or CUDA), or leave PYTHON out, and .venv is made with a pair that matches"
    )
