"""No two folders of the product import each other, directly or through others."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "ablations": ROOT,
    "focal_star": ROOT / "projects" / "focal_star",
    "install": ROOT,
    "reports": ROOT,
}
"""Package -> its parent folder."""


def module_files(packages: dict[str, Path]) -> dict[str, Path]:
    """Dotted name -> file of every module; a package's name is that of its ``__init__.py``."""
    files = {}
    for package, parent in packages.items():
        for path in (parent / package).rglob("*.py"):
            parts = path.relative_to(parent).with_suffix("").parts
            files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return files


def imported_modules(path: Path, module: str, files: dict[str, Path]) -> set[str]:
    """The modules among ``files`` that one imports, at its top or inside a function."""
    found = set()
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            start = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            names = [f"{start}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            while name and name not in files:
                name = name.rpartition(".")[0]
            found |= {name} - {"", module}
    return found


def folder_graph(packages: dict[str, Path]) -> dict[Path, set[Path]]:
    """Folder -> the other folders that its modules import from."""
    files = module_files(packages)
    graph: dict[Path, set[Path]] = {}
    for module, path in files.items():
        imported = {files[name].parent for name in imported_modules(path, module, files)}
        graph.setdefault(path.parent, set()).update(imported - {path.parent})
    return graph


def circle(packages: dict[str, Path]) -> list[str]:
    """Folders that import each other in a cycle; [] if there are none."""
    try:
        TopologicalSorter(folder_graph(packages)).prepare()
    except CycleError as error:
        return [path.name for path in error.args[1]]
    return []


def test_folders_do_not_import_each_other():
    assert len(folder_graph(PACKAGES)) > 20
    assert circle(PACKAGES) == []


@pytest.mark.parametrize(
    "line",
    ["import p.a.one", "from p.a import one", "from ..a import one", "from ..a.one import x"],
)
def test_import_cycle_is_detected(tmp_path, line):
    for name, text in {
        "p/__init__.py": "",
        "p/a/__init__.py": "",
        "p/a/one.py": "x = 1",
        "p/a/two.py": "def later():\n    from p.b import three",
        "p/b/__init__.py": "",
        "p/b/three.py": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert circle({"p": tmp_path}) == []
    (tmp_path / "p/b/three.py").write_text(line)
    assert sorted(set(circle({"p": tmp_path}))) == ["a", "b"]
