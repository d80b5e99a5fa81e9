"""The Makefile's commands and the distribution that setup.py describes."""

import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

from install.environment import Environment

ROOT = Path(__file__).resolve().parents[2]
OF_MAKE = ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS")


def make(*words: str) -> str:
    """What `make` prints, whatever variables an outer `make test` was given."""
    variables = re.findall(r"^([A-Z_]+) ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    environ = {k: v for k, v in os.environ.items() if k not in (*variables, *OF_MAKE)}
    ran = subprocess.run(
        ["make", *words], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    return ran.stdout


def test_help_tells_every_target_and_variable() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = " ".join(re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)).split()
    told = make()
    for name in targets:
        assert re.search(rf"^  {name} +\S", told, re.MULTILINE), name
    for name in ("STUDY", "GRIDS", "SEEDS", "DATASET", "JOBS", "OUTPUT", "PYTHON", "PYTEST_ARGS"):
        assert re.search(rf"^  {name} +\S", told, re.MULTILINE), name
    assert re.search(r"^  STUDY .*; empty: mini, or own_cpu for a DATASET$", told, re.MULTILINE)


def test_variables_reach_the_runner() -> None:
    words = [
        "GRIDS=alpha gamma",
        "SEEDS=3",
        "DATASET=my data",
        "OUTPUT=out",
        "STUDY=coco",
        "JOBS=4",
    ]
    printed = make("--dry-run", "ablations", *words)
    for program in ("ablations", "ablations speed", "reports"):
        assert f'".venv/bin/python" -m {program} --output "out" --study "coco"' in printed
    for flag in (
        '--study "coco"',
        '--output "out"',
        '--grids "alpha gamma"',
        '--seeds "3"',
        '--jobs "4"',
    ):
        assert flag in printed
    assert '--dataset "my data"' in printed


def test_what_is_not_given_is_left_to_the_runner() -> None:
    printed = make("--dry-run", "report", "PYTHON=/some/python")
    assert '"/some/python" -m reports --output "output"' in printed
    assert not re.search("--(study|grids|seeds|dataset|jobs)", printed)
    assert '"/some/python" -m install --here' in printed


def test_the_distribution_holds_all_that_the_packages_read(
    environment: Environment, tmp_path: Path
) -> None:
    """A wheel has every module and data file of its packages, but no published report (17 MB)."""
    copy = tmp_path / "checkout"
    packages = {
        "focal_star": "projects/focal_star/focal_star",
        "focal_star/configs": "projects/focal_star/configs",
        "ablations": "ablations",
        "reports": "reports",
    }
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", "published")
    for folder in packages.values():
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignored)
    for file in ("setup.py", "pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / file, copy)
    build = ["wheel", "--no-deps", "--no-build-isolation"]
    environment.pip(*build, "--wheel-dir", tmp_path / "wheel", copy)
    (wheel,) = (tmp_path / "wheel").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        archive.extractall(tmp_path / "installed")
    expected = {
        str(Path(package) / file.relative_to(copy / folder))
        for package, folder in packages.items()
        for file in (copy / folder).rglob("*")
        if file.is_file()
    }
    assert packed == expected
    code = "from focal_star.config import CONFIGS, load_config as load; print(CONFIGS); "
    code += "print(load(CONFIGS / 'mini/retinanet_R_18_FPN.yaml').MODEL.META_ARCHITECTURE)"
    environ = environment.environ | {"PYTHONPATH": str(tmp_path / "installed")}
    shown = subprocess.run(
        [environment.python, "-c", code], cwd=tmp_path, env=environ, capture_output=True, text=True
    )
    installed = tmp_path / "installed" / "focal_star" / "configs"
    assert shown.stdout.split() == [str(installed), "CachedRetinaNet"], shown.stderr


def test_weights_are_installed_for_own_data_only() -> None:
    extra = "--extra imagenet"
    assert extra in make("--dry-run", "ablations", "DATASET=data")
    assert extra in make("--dry-run", "doctor", "DATASET=data", "STUDY=own_cpu")
    for words in (["ablations"], ["ablations", "DATASET=data", "STUDY=mini"], ["check"]):
        assert extra not in make("--dry-run", *words)
