"""The set-up as a program: it refuses old Pythons, says what failed, and does nothing twice."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import install
from install.__main__ import RECORDS, _state, is_current
from install.environment import Environment

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """As much of the repository as the set-up reads."""
    root = tmp_path / "checkout"
    shutil.copytree(ROOT / "install", root / "install", ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(ROOT / "setup.py", root)
    shutil.copy(ROOT / "pyproject.toml", root)
    project = Path("projects", "focal_star")
    shutil.copytree(ROOT / project / "configs", root / project / "configs")
    for package in (project / "focal_star", Path("ablations"), Path("reports")):
        (root / package).mkdir()
        shutil.copy(ROOT / package / "__init__.py", root / package)
    return root


def run_setup(checkout: Path, environ: dict[str, str], *flags: str) -> subprocess.CompletedProcess:
    """Runs the set-up in a checkout, as `make setup` does."""
    command = [sys.executable, "-m", "install", *flags]
    return subprocess.run(command, cwd=checkout, env=environ, capture_output=True, text=True)


@pytest.fixture
def stamp(checkout: Path, environment: Environment) -> Path:
    """The stamp of a complete set-up of the tests' own Python."""
    path = checkout / RECORDS / "stamp.json"
    path.parent.mkdir()
    path.write_text(json.dumps(_state(environment, checkout)))
    return path


def test_an_old_python_is_refused_in_one_line() -> None:
    """As an old Python runs it: the package's first lines, before any module of it."""
    pretend = "import sys; sys.version_info = (3, 9, 2, 'final', 0); import install.lock"
    ran = subprocess.run([sys.executable, "-c", pretend], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1
    assert f"needs Python 3.10 or newer, and {sys.executable} is 3.9.2" in ran.stderr
    assert "make setup PYTHON=" in ran.stderr


def test_which_python_is_too_old() -> None:
    assert install.refusal((3, 9, 18), "python3")
    assert install.refusal((3, 10, 0), "python3") is None
    assert install.refusal((4, 0, 0), "python3") is None


def test_an_index_out_of_reach_shows_the_words_of_pip(checkout: Path, offline: dict) -> None:
    """From nothing: it makes .venv, and stops at the first download."""
    left_over = checkout / RECORDS / "tmp" / "of a set-up that was killed"
    left_over.mkdir(parents=True)
    ran = run_setup(checkout, offline)
    assert ran.returncode == 1
    assert "make setup: torch and all other packages: pip failed. Its last lines:" in ran.stderr
    assert "ERROR: " in ran.stderr
    assert os.path.join(RECORDS, "setup.log") in ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr
    assert not list((checkout / RECORDS).glob("*.json")), "a failed set-up is not remembered"
    assert not left_over.parent.exists()


def test_a_python_without_pip_is_told_the_remedy(checkout: Path, offline: dict) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", checkout / "bare"], check=True)
    command = [checkout / "bare/bin/python", "-m", "install", "--here"]
    ran = subprocess.run(command, cwd=checkout, env=offline, capture_output=True, text=True)
    assert ran.returncode == 1
    assert "has no pip" in ran.stderr and "-m ensurepip" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_a_complete_setup_is_not_repeated(stamp: Path, checkout: Path, environment) -> None:
    assert is_current(stamp, environment, checkout)


@pytest.mark.parametrize("name", ["lock.txt", "lock.py", "detectron2/changes.patch"])
def test_the_stamp_follows_the_files(stamp: Path, checkout: Path, environment, name: str) -> None:
    with (checkout / "install" / name).open("a") as file:
        file.write("\n# changed\n")
    assert not is_current(stamp, environment, checkout)


@pytest.mark.parametrize("kind", ["versions", "places"])
def test_the_stamp_follows_the_packages(
    stamp: Path, checkout: Path, environment, kind: str
) -> None:
    written = json.loads(stamp.read_text())
    written[kind]["detectron2"] = "another"
    stamp.write_text(json.dumps(written))
    assert not is_current(stamp, environment, checkout)


def test_half_a_stamp_is_none(stamp: Path, checkout: Path, environment) -> None:
    stamp.write_text(stamp.read_text()[:20])
    assert not is_current(stamp, environment, checkout)


def test_what_pythonpath_lends_counts_in_a_users_environment_alone(tmp_path: Path) -> None:
    environ = {"PYTHONPATH": "lent", "HOME": "home"}
    for is_ours, kept in ((False, {"PYTHONPATH", "HOME"}), (True, {"HOME"})):
        environment = Environment(Path(sys.executable), is_ours, tmp_path / "log", environ)
        assert environment.environ.keys() & environ.keys() == kept


@pytest.mark.slow
def test_a_site_that_caps_torch_is_served(checkout: Path, tmp_path: Path) -> None:
    """From nothing, with a constraint that excludes the lock's torch and an empty folder of wheels:
    the environment gets the release before, and a pair that works."""
    locked = _locked_torch()
    cap = tmp_path / "site.txt"
    cap.write_text("".join(f"{name}<{version}\n" for name, version in locked.items()))
    (tmp_path / "empty").mkdir()
    links = f"{os.environ.get('PIP_FIND_LINKS', '')} {tmp_path / 'empty'}".strip()
    environ = os.environ | {"PIP_CONSTRAINT": str(cap), "PIP_FIND_LINKS": links}
    ran = run_setup(checkout, environ)
    assert ran.returncode == 0, ran.stderr
    code = "import torch, torchvision, detectron2.engine; print(torch.__version__)"
    tried = [checkout / ".venv/bin/python", "-c", code]
    shown = subprocess.run(tried, capture_output=True, text=True, check=True).stdout
    assert tuple(map(int, shown.split("+")[0].split("."))) < tuple(
        map(int, locked["torch"].split("."))
    )
    for name, version in locked.items():
        assert f"instead of {version}" in ran.stdout, name
    again = run_setup(checkout, environ)
    assert again.returncode == 0 and "..." not in again.stdout, "the second set-up does nothing"
    shutil.rmtree(checkout / ".venv")  # 7 GB


def _locked_torch() -> dict[str, str]:
    """torch and torchvision -> the lock's version for this Python."""
    from pip._vendor.packaging.requirements import Requirement

    from install.lock import TORCH, read_lock

    pins = [Requirement(pin.line) for pin in read_lock() if pin.name in TORCH]
    fitting = [pin for pin in pins if pin.marker is None or pin.marker.evaluate()]
    return {pin.name: str(pin.specifier).removeprefix("==") for pin in fitting}
