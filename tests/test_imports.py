"""Imports go one way: reports -> ablations -> (a process) focal_star -> detectron2."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ablations.study.study import load_study

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "tests" / "fixtures" / "reports" / "records"

PARTS = {
    "ablations": (ROOT / "ablations", {"torch", "detectron2", "pandas", "focal_star", "reports"}),
    "reports": (ROOT / "reports", {"torch", "detectron2", "focal_star"}),
    "focal_star": (ROOT / "projects" / "focal_star", {"ablations", "reports"}),
}
"""Part -> (its folder, the packages that it must not import)."""

SHARED = {
    "focal_star.evaluation.metric_names",
    "focal_star.identity.keys_without_effect",
    "focal_star.identity.loss_code",
    "focal_star.identity.sources",
}
"""The modules of focal_star that the runner imports; they need only the standard library."""

FILES = {
    "focal_star.io.file_hash",
    "focal_star.io.json_text",
    "focal_star.io.machine",
    "focal_star.io.pipes",
    "focal_star.io.quoting",
    "focal_star.io.temporary",
    "focal_star.io.writing",
    "focal_star.io.yaml_text",
}

ALLOWED = {
    "ablations": {*SHARED, *FILES},
    "reports": {*SHARED, *FILES, "focal_star.io.image_files", "focal_star.io.mistaken"},
}
"""Part -> the modules of these packages that it may import. The reader of images is one, so that a
report shows the same pixels as the detector saw."""

BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED and name not in ALLOWED:
            raise ImportError(f"{name} is blocked")

BLOCKED = set(sys.argv.pop(1).split(","))
MODULES = set(sys.argv.pop(1).split(","))
# To import a module, Python imports the packages that it is in.
ALLOWED = MODULES | {name[:n] for name in MODULES for n, c in enumerate(name) if c == "."}
assert not BLOCKED & {name.partition(".")[0] for name in sys.modules}
sys.meta_path.insert(0, Blocker())
"""

IMPORT_ALL = """
import importlib, pkgutil
package = importlib.import_module(sys.argv[1])
names = [found.name for found in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""

PLAN = """
from ablations.study.study import load_study
from ablations.storage.layout import PACKAGE
for path in sorted((PACKAGE / "studies").glob("*.yaml")):
    for cell in load_study(path.stem).cells():
        print(cell.id, *cell.overrides())
"""

REPORT = """
from reports.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def run_without(
    blocked: set[str], code: str, *arguments: str, allowed: set[str] = frozenset()
) -> subprocess.CompletedProcess:
    """Run code in a process that can import only the allowed modules of these packages."""
    names = [",".join(sorted(blocked)), ",".join(sorted(allowed))]
    return subprocess.run(
        [sys.executable, "-c", BLOCKER + code, *names, *arguments],
        cwd=ROOT,
        env=os.environ | {"MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("blocked", sorted({"torch", "detectron2", "pandas"}))
def test_blocked_module_cannot_be_imported(blocked):
    ended = run_without({blocked}, f"import {blocked}")
    assert ended.returncode == 1
    assert f"ImportError: {blocked} is blocked" in ended.stderr


def test_only_allowed_modules_of_a_blocked_package_are_imported():
    allowed = ALLOWED["reports"]
    code = "import focal_star.io.image_files\nimport focal_star.io.kept_folders"
    ended = run_without({"focal_star"}, code, allowed=allowed)
    assert ended.returncode == 1
    assert "ImportError: focal_star.io.kept_folders is blocked" in ended.stderr


IDENTITY = ROOT / "projects" / "focal_star" / "focal_star" / "identity"


@pytest.mark.parametrize("path", sorted(IDENTITY.glob("*.py")), ids=lambda path: path.stem)
def test_loss_hash_needs_only_the_standard_library(path):
    others = imported(path.read_text(), "focal_star", {"focal_star.identity.loss_code"})
    assert others <= set(sys.stdlib_module_names)
    name = f"focal_star.identity.{path.stem}"
    ended = run_without({"torch", "numpy", "yaml", "detectron2"}, f"import {name}")
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("package", ["ablations", "reports"])
def test_every_module_is_imported_without_the_others(package):
    folder, forbidden = PARTS[package]
    ended = run_without(forbidden, IMPORT_ALL, package, allowed=ALLOWED.get(package, set()))
    assert ended.returncode == 0, ended.stderr
    modules = [path for path in folder.rglob("*.py") if path != folder / "__init__.py"]
    assert int(ended.stdout) == len(modules)


def test_the_cells_are_listed_without_the_others():
    ended = run_without(PARTS["ablations"][1], PLAN, allowed=ALLOWED["ablations"])
    assert ended.returncode == 0, ended.stderr
    assert "focal-alpha0.25-gamma2-seed1" in ended.stdout


@pytest.mark.parametrize("name", ["mini", "coco"])
@pytest.mark.parametrize("what", ["plan", "status"])
def test_a_study_is_planned_and_shown_without_the_others(tmp_path, what, name):
    arguments = [what, "--study", name, "--output", str(tmp_path)]
    ended = run_without(
        PARTS["ablations"][1],
        "from ablations.__main__ import main\nsys.exit(main(sys.argv[1:]))",
        *arguments,
        allowed=ALLOWED["ablations"],
    )
    assert ended.returncode == (what == "status"), ended.stderr
    assert f"{len(load_study(name).cells())} unique: 0 done" in ended.stdout


def test_a_plan_for_a_data_set_of_ones_own_needs_no_torch():
    """The process that proposes its settings: torch alone would take it seconds."""
    others = {"torch", "detectron2"}
    settings = "import focal_star.fitted.settings, focal_star.frozen.settings"
    ended = run_without(others, settings)
    assert ended.returncode == 0, ended.stderr


def test_the_command_line_needs_none_of_the_others():
    ended = run_without(
        PARTS["ablations"][1],
        "from ablations.__main__ import main\nsys.exit(main(['--study', 'no-such-study']))",
        allowed=ALLOWED["ablations"],
    )
    assert ended.returncode == 2 and "no-such-study" in ended.stderr


def test_a_report_is_rendered_without_the_others(tmp_path):
    shutil.copytree(RECORDS, tmp_path / "mini" / "records")
    arguments = ["--study", "mini", "--grids", "gamma", "--schedule", "1x"]
    arguments += ["--output", str(tmp_path)]
    ended = run_without(PARTS["reports"][1], REPORT, *arguments, allowed=ALLOWED["reports"])
    assert ended.returncode == 1, ended.stderr  # it is written, and cells of the grid are missing
    assert ended.stderr == ""
    page = tmp_path / "mini" / "report" / "index.html"
    num_cells = len(load_study("mini", ["gamma"]).cells())
    assert f"1 of {num_cells} cells done" in ended.stdout and page.is_file()


def test_losses_need_only_torch():
    others = {"detectron2", "fvcore", "torchvision", "iopath", "yacs", "ablations", "reports"}
    ended = run_without(others, "import focal_star.losses\nprint('torch' in sys.modules)")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "True\n"


def imported(source: str, package: str, allowed: set[str] = frozenset()) -> set[str]:
    """The top-level packages that a module of ``package`` imports, at its top or in a function.

    Allowed modules do not count, where they are imported by their full names.
    """
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(package if node.level else node.module)
    return {name.partition(".")[0] for name in names - allowed}


@pytest.mark.parametrize(
    ("source", "packages"),
    [
        ("import torch.nn as nn, os", {"torch", "os"}),
        ("from reports.results.load import load", {"reports"}),
        ("def f():\n    if 1:\n        from torch import nn", {"torch"}),
        ("try:\n    import pandas\nexcept ImportError:\n    pass", {"pandas"}),
        ("from . import torch\nfrom .reports import x", {"here"}),
        ("import torches", {"torches"}),
        ("x = 'import torch'  # import torch", set()),
    ],
)
def test_imports_are_found(source, packages):
    assert imported(source, "here") == packages


@pytest.mark.parametrize(
    "source",
    ["import a.b", "from a.b import c, d", "def f():\n    from a.b import c"],
)
def test_allowed_module_is_not_counted_but_its_neighbours_are(source):
    assert imported(source, "here", {"a.b"}) == set()
    for other in ("a", "a.c", "a.b.d"):
        assert imported(source.replace("a.b", other), "here", {"a.b"}) == {"a"}


@pytest.mark.parametrize("part", PARTS)
def test_no_file_imports_against_the_direction(part):
    folder, forbidden = PARTS[part]
    files = sorted(folder.rglob("*.py"))
    assert files
    allowed = ALLOWED.get(part, set())
    wrong = {
        path.relative_to(ROOT).as_posix(): found
        for path in files
        if (found := imported(path.read_text(encoding="utf-8"), part, allowed) & forbidden)
    }
    assert wrong == {}


LOSSES = ROOT / "projects" / "focal_star" / "focal_star" / "losses"


@pytest.mark.parametrize("path", sorted(LOSSES.glob("[!_]*.py")), ids=lambda path: path.stem)
def test_the_files_of_losses_import_torch_and_what_they_share(path):
    found = imported(path.read_text(), "focal_star", {"focal_star.losses.base"})
    assert found - set(sys.stdlib_module_names) == {"torch"}


MINI = "focal_star.mini"


def imports_of_mini(source: str) -> set[str]:
    """The modules of ``focal_star.mini`` that a module imports, at its top or in a function."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = ("focal_star." * (node.level > 0) + (node.module or "")).rstrip(".")
            names |= {start, *(f"{start}.{alias.name}" for alias in node.names)}
    return {name for name in names if name == MINI or name.startswith(f"{MINI}.")}


@pytest.mark.parametrize(
    "source",
    [
        "import focal_star.mini",
        "import focal_star.mini.trainer as m",
        "from focal_star.mini import frozen",
        "from focal_star.mini.feature_cache import CachedFeatureMapper",
        "from focal_star import losses, mini",
        "from . import mini",
        "from .mini import frozen",
        "def f():\n    from focal_star.mini.trainer import MiniTrainer",
    ],
)
def test_an_import_of_mini_is_found(source):
    assert imports_of_mini(source)
    assert not imports_of_mini(source.replace("mini", "training"))


def test_no_module_outside_of_mini_imports_it():
    folder = PARTS["focal_star"][0]
    files = [
        path for path in folder.rglob("*.py") if folder / "focal_star" / "mini" not in path.parents
    ]
    assert len(files) > 50
    assert [path for path in files if imports_of_mini(path.read_text(encoding="utf-8"))] == []


def test_the_core_imports_mini_only_where_a_config_asks_for_it():
    code = """
from focal_star.training.command import load_config
from focal_star.config import CONFIGS
def loaded():
    return sorted(name for name in sys.modules if name.startswith("focal_star.mini"))
from detectron2.modeling import build_model
on_cpu = ["MODEL.DEVICE", "cpu"]
build_model(load_config(CONFIGS / "coco/retinanet_R_50_FPN_1x_600_FL.yaml", on_cpu))
print(loaded())
build_model(load_config(CONFIGS / "mini/retinanet_R_18_FPN.yaml", on_cpu))
print("focal_star.mini.backbone" in loaded())
"""
    ended = run_without({"nothing"}, code)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["[]", "True"]
