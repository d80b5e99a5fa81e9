"""torch and torchvision are installed as a pair, and one that does not match is told."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import pytest

from install import OLDEST_PYTHON
from install.pins import torch_pair
from install.running import Runner, SetupError
from install.target import Contents, Target
from install.torch_pair import check_pair, install_pair, satisfies, wanted_versions

# As much of the two as the set-up's check touches.
TORCH = """
def tensor(values): return values
def ones(n): return n
"""
OPERATORS = """
class Kept(list):
    def tolist(self): return list(self)
def nms(boxes, scores, threshold): return Kept([0])
"""
OTHER_BUILD = "raise RuntimeError('operator torchvision::nms does not exist')"

Pretend = Callable[..., None]


class Recorder(Runner):
    """Runs nothing; keeps the commands."""

    def __init__(self, log: Path, environ: dict[str, str]) -> None:
        super().__init__(log, environ)
        self.commands: list[list[str]] = []

    def attempt(self, command: Sequence[str | Path], **environ: str) -> tuple[int, str]:
        self.commands.append([str(word) for word in command])
        return 0, ""

    def requirements(self) -> list[str]:
        """What pip was told to install; nothing where it was not called."""
        installs = [
            command for command in self.commands if command[1:4] == ["-m", "pip", "install"]
        ]
        return [word for command in installs for word in command[4:]]


def test_a_pair_that_works_is_kept(target: Target, runner: Runner, pretend: Pretend) -> None:
    pretend("torch", "2.9.0+cpu", __init__=TORCH)
    pretend("torchvision", "0.24.0+cpu", ops=OPERATORS)
    assert install_pair(target, runner) == {"torch": "2.9.0+cpu", "torchvision": "0.24.0+cpu"}
    assert "pip" not in runner.log.read_text()


def test_builds_that_do_not_match_are_named(
    target: Target, runner: Runner, pretend: Pretend
) -> None:
    pretend("torch", "2.15.0+cpu", __init__=TORCH)
    pretend("torchvision", "0.29.2", ops=OTHER_BUILD)
    with pytest.raises(SetupError) as error:
        check_pair(target, runner)
    assert "torch 2.15.0+cpu and torchvision 0.29.2 do not go together" in str(error.value)
    assert "operator torchvision::nms does not exist" in str(error.value)
    assert "same kind (CPU or CUDA)" in str(error.value)
    assert "\n" not in str(error.value)


def test_in_venv_the_remedy_is_the_pinned_pair(
    target: Target, runner: Runner, pretend: Pretend
) -> None:
    pretend("torch", "2.15.0+cpu", __init__=TORCH)
    pretend("torchvision", "0.29.2", ops=OTHER_BUILD)
    with pytest.raises(SetupError) as error:
        check_pair(Target(target.python, ours=True), runner)
    for name, version in torch_pair(sys.version_info[:3]).items():
        assert f"'{name}==={version}'" in str(error.value)


def test_a_torch_that_does_not_load_is_told_from_a_mismatch(
    target: Target, runner: Runner, pretend: Pretend
) -> None:
    pretend("torch", "2.15.0", __init__="raise OSError('libcudart.so.13: cannot open')")
    pretend("torchvision", "0.29.2", ops=OPERATORS)
    with pytest.raises(SetupError, match=r"torch 2.15.0 cannot be loaded \(OSError: libcudart"):
        check_pair(target, runner)


PINNED = torch_pair((3, 11, 7))


@pytest.mark.parametrize(
    ("ours", "torch", "torchvision", "wanted"),
    [
        (True, None, None, PINNED),
        (True, "2.13.0+cpu", None, PINNED),
        (False, None, None, PINNED),
        (False, "2.9.0", None, {"torch": "2.9.0"}),
        (False, None, "0.24.0", {"torchvision": "0.24.0"}),
    ],
)
def test_the_pins_rule_venv_and_the_user_rules_his_own(
    target: Target,
    ours: bool,
    torch: str | None,
    torchvision: str | None,
    wanted: dict[str, str],
) -> None:
    found = Contents((3, 11, 7), {"torch": torch, "torchvision": torchvision}, {})
    assert wanted_versions(Target(target.python, ours), found) == wanted


def test_every_python_that_will_do_has_a_pair() -> None:
    assert set(torch_pair(OLDEST_PYTHON)) == {"torch", "torchvision"}
    assert torch_pair((3, 10, 13)) == torch_pair((3, 10)) != torch_pair((3, 11))
    assert torch_pair((3, 11)) == torch_pair((3, 13, 0))


class LoneTorch(Target):
    """An environment that has torch and no torchvision, as the tests' own Python has both."""

    def look(self, names: Iterable[str], environ: Mapping[str, str]) -> Contents:
        return Contents((3, 11, 0), {"torch": "2.9.0+cpu", "torchvision": None}, {})


def test_beside_a_users_torch_only_torchvision_is_added(target: Target, runner: Runner) -> None:
    recorder = Recorder(runner.log, runner.environ)
    install_pair(LoneTorch(target.python, ours=False), recorder)
    assert recorder.requirements() == ["torch==2.9.0+cpu", "torchvision"]


@pytest.mark.parametrize(
    ("found", "wanted", "will_do"),
    [
        ("2.15.0", "2.15.0", True),
        ("2.15.0+cpu", "2.15.0", True),
        ("2.13.0+cpu", "2.15.0", False),
        ("2.9.0", None, True),
        (None, None, False),
        (None, "2.15.0", False),
    ],
)
def test_which_versions_will_do(found: str | None, wanted: str | None, will_do: bool) -> None:
    assert satisfies(found, wanted) is will_do
