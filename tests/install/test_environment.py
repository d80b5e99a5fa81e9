"""The set-up as a program: refuses old Pythons, fails in one line, does nothing twice."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import install
from install.stamp import Stamp
from install.target import Target

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """As much of the repository as the set-up reads."""
    root = tmp_path / "checkout"
    shutil.copytree(ROOT / "install", root / "install", ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(ROOT / "setup.py", root)
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


@pytest.fixture
def stamp(checkout: Path, target: Target, offline: dict[str, str]) -> Stamp:
    """The stamp of the tests' own Python in that checkout; not written yet."""
    return Stamp(checkout, checkout / ".setup", target, target.environ(offline))


def run_setup(checkout: Path, environ: dict[str, str], *flags: str) -> subprocess.CompletedProcess:
    """Runs the set-up in a checkout, as `make setup` does."""
    command = [sys.executable, "-m", "install.environment", *flags]
    return subprocess.run(command, cwd=checkout, env=environ, capture_output=True, text=True)


def test_an_old_python_is_refused_in_one_line() -> None:
    """As an old Python runs it: the package's first lines, before any module of it."""
    pretend = "import sys; sys.version_info = (3, 9, 2, 'final', 0); import install.environment"
    ran = subprocess.run([sys.executable, "-c", pretend], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1
    assert f"needs Python 3.10 or newer, and {sys.executable} is 3.9.2" in ran.stderr
    assert "make setup PYTHON=" in ran.stderr


def test_which_python_is_too_old() -> None:
    assert install.refusal((3, 9, 18), "python3")
    assert install.refusal((3, 10, 0), "python3") is None
    assert install.refusal((4, 0, 0), "python3") is None


def test_a_second_setup_does_nothing(checkout: Path, stamp: Stamp, offline: dict) -> None:
    stamp.write()
    ran = run_setup(checkout, offline, "--here")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "is ready" in ran.stdout
    assert [file.name for file in (checkout / ".setup").iterdir()] == [stamp.path.name]


def test_an_index_out_of_reach_is_one_line(checkout: Path, offline: dict) -> None:
    """From nothing: makes .venv, and stops at the first download."""
    left_over = checkout / ".setup" / "tmp" / "of a set-up that was killed"
    left_over.mkdir(parents=True)
    ran = run_setup(checkout, offline)
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1
    assert "torch and torchvision: the package index cannot be reached" in ran.stderr
    assert os.path.join(".setup", "setup.log") in ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr
    assert "torch==" in (checkout / ".setup" / "setup.log").read_text()
    assert not list((checkout / ".setup").glob("*.json")), "a failed set-up is not remembered"
    assert not left_over.parent.exists()


def test_a_python_without_pip_is_told_the_remedy(checkout: Path, offline: dict) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", checkout / "bare"], check=True)
    command = [checkout / "bare/bin/python", "-m", "install.environment", "--here"]
    ran = subprocess.run(command, cwd=checkout, env=offline, capture_output=True, text=True)
    assert ran.returncode == 1
    assert "has no pip" in ran.stderr and "-m ensurepip" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_the_stamp_follows_the_files(stamp: Stamp, checkout: Path) -> None:
    assert not stamp.is_current()
    stamp.write()
    assert stamp.is_current()
    pins = checkout / "install" / "pins.py"
    pins.write_text(pins.read_text() + "\n# changed\n")
    assert not stamp.is_current()


@pytest.mark.parametrize("kind", ["versions", "places"])
def test_the_stamp_follows_the_packages(stamp: Stamp, kind: str) -> None:
    stamp.write()
    written = json.loads(stamp.path.read_text())
    written[kind]["torch"] = "another"
    stamp.path.write_text(json.dumps(written))
    assert not stamp.is_current()


def test_the_stamp_of_one_python_is_not_another_ones(stamp: Stamp, tmp_path: Path) -> None:
    stamp.write()
    other = tmp_path / "python"
    other.symlink_to(sys.executable)
    twin = Stamp(stamp.root, stamp.path.parent, Target(other, ours=False), stamp.environ)
    assert not twin.is_current()


def test_half_a_stamp_is_none(stamp: Stamp) -> None:
    stamp.write()
    stamp.path.write_text(stamp.path.read_text()[:20])
    assert not stamp.is_current()


def test_what_pythonpath_lends_counts_in_a_users_environment_alone(target: Target) -> None:
    environ = {"PYTHONPATH": "lent", "HOME": "home"}
    assert target.environ(environ) == environ
    assert Target(target.python, ours=True).environ(environ) == {"HOME": "home"}
