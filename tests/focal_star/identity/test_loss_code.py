"""What counts in the hash of a loss's code."""

import os
import shutil
import subprocess
import sys

import pytest

from focal_star.identity import loss_code
from focal_star.identity.loss_code import PACKAGE, Sources, hashes
from focal_star.identity.sources import sources_sha256
from focal_star.losses import LOSSES

MINE = '''"""A file of a user."""
import math

LIMIT = 3


@named("mine")
def my_loss(logits, targets, *, alpha=None, gamma=1.0, reduction="none"):
    """As printed."""
    return 2 * logits + LIMIT
'''
ALL = set(LOSSES)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MINE, encoding="utf-8")
    return path


def sha256(path):
    return Sources().sha256("mine", path)


def is_changed(path, edited, old, new):
    before, text = sha256(path), edited.read_text(encoding="utf-8")
    assert old in text
    edited.write_text(text.replace(old, new), encoding="utf-8")
    return sha256(path) != before


def test_every_loss_of_the_project_has_a_hash():
    assert hashes().keys() == ALL
    assert len(set(hashes().values())) == len(ALL)


@pytest.mark.parametrize(
    ("name", "old", "new", "losses"),
    [
        ("focal_star", "exponent = -gamma * s", "exponent = -2 * gamma * s", {"focal_star"}),
        ("focal", "gamma: float = 2.0", "gamma: float = 2.5", {"focal"}),
        ("base", "0.78 * math.log", "0.79 * math.log", ALL),
        ("base", "-F.logsigmoid(-x)", "-F.logsigmoid(-x) * 1", ALL),
        ("base", "# With this share", "# With that share", set()),
        ("__init__", "capture(LOSSES.values())", "pass", set()),
    ],
)
def test_an_edit_counts_for_the_losses_that_use_the_file(tmp_path, name, old, new, losses):
    package = tmp_path / "focal_star"
    shutil.copytree(PACKAGE / "losses", package / "losses")
    (package / "__init__.py").touch()
    assert hashes(package) == hashes()
    path = package / "losses" / f"{name}.py"
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")
    assert {loss for loss in ALL if hashes(package)[loss] != hashes()[loss]} == losses


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ("2 * logits", "3 * logits", True),
        ("LIMIT = 3", "LIMIT = 3.0", True),  # another type
        ("LIMIT = 3", "LIMIT = 3\nLIMIT += 1", True),
        ("gamma=1.0", "gamma=2.0", True),
        ("import math", "import cmath as math", True),
        ("gamma=1.0", "gamma=1e0", False),  # the same number
        ('"""As printed."""', '"""As it is printed."""', False),
        ('    """As printed."""\n', "", False),
        ("    return", "\n    # a comment\n    return", False),
        ("2 * logits + LIMIT", "(\n        2 * logits + LIMIT\n    )", False),
    ],
)
def test_what_counts(file, old, new, counts):
    assert is_changed(file, file, old, new) == counts


@pytest.mark.parametrize(
    ("statement", "folder"),
    [
        ("from helpers import steep", "."),
        ("from helpers import *", "."),
        ("import helpers as h", "."),
        ("def f():\n    import helpers", "."),
        ("from package import helpers", "package"),
        ("from package.helpers import steep", "package"),
        ("import package.helpers", "package"),
    ],
)
def test_a_helper_of_another_file_counts(tmp_path, file, statement, folder):
    helpers, constants = (tmp_path / folder / f"{name}.py" for name in ("helpers", "constants"))
    helpers.parent.mkdir(exist_ok=True)
    dot = "" if folder == "." else "."
    if dot:
        (helpers.parent / "__init__.py").touch()
    helpers.write_text(f"from {dot}constants import A\ndef steep(s):\n    return A * s\n")
    constants.write_text("A = 2\n")
    file.write_text(f"{statement}\n{MINE}")
    assert is_changed(file, helpers, "A * s", "A / s")
    assert is_changed(file, constants, "A = 2", "A = 3")
    assert not is_changed(file, constants, "A = 3", "A = 3  # a comment")


def test_what_is_installed_does_not_count_and_the_folders_of_pythonpath_do(
    tmp_path, file, monkeypatch
):
    file.write_text(f"import torch\nimport helpers\n{MINE}")
    assert len(Sources().used_by(file)) == 1
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "helpers.py").write_text("A = 2\n")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    assert is_changed(file, folder / "helpers.py", "A = 2", "A = 3")


def test_the_projects_losses_count_where_another_file_uses_them(file, tmp_path, monkeypatch):
    package = tmp_path / "elsewhere" / "focal_star"
    shutil.copytree(PACKAGE / "losses", package / "losses")
    monkeypatch.setattr(loss_code, "PACKAGE", package)
    file.write_text(f"from focal_star.losses.base import named\n{MINE}")
    assert is_changed(file, package / "losses" / "base.py", "0.78 *", "0.79 *")
    assert not is_changed(file, package / "losses" / "focal_star.py", "-gamma * s", "gamma * s")


@pytest.mark.parametrize("content", ["def broken(:\n", "\0", "x = 1"])
def test_other_files_of_the_package_may_register_losses_and_be_broken(tmp_path, content):
    (tmp_path / "extra.py").write_text('@losses.named("extra")\ndef f(s):\n    return s\n')
    (tmp_path / "other.py").write_text(f"{content}  # named(")
    assert hashes(tmp_path).keys() == {"extra"}


def test_the_files_of_an_editor_do_not_count(tmp_path):
    """Emacs's lock is a link to nothing; a backup sorts after its original."""
    (tmp_path / "extra.py").write_text('@named("extra")\ndef f(s):\n    return s\n')
    before = hashes(tmp_path), sources_sha256(tmp_path)
    (tmp_path / ".#extra.py").symlink_to("user@host.1234:5678")
    (tmp_path / "folder.py").mkdir()
    assert (hashes(tmp_path), sources_sha256(tmp_path)) == before
    (tmp_path / ".hidden.py").write_text('@named("hidden")\ndef f(s):\n    return s\n')
    (tmp_path / "extra~.py").write_text('@named("extra")\ndef f(s):\n    return 2 * s\n')
    assert hashes(tmp_path) == before[0]


VERSIONS = [f"3.{minor}" for minor in range(10, 15)]
SYNTAX = """
@named("all")
def f(s, /, *rest, key: int = 1, **options) -> "str":
    '''Left out.'''
    text = f"{s!r:>{key}} {key=}" "and" f'{rest[0]:.3g}' u"x\\u0378"
    data = b"y" rb"z"
    match s:
        case {"a": [1, *_], **more} if more is not None:
            return (lambda *a: a)(*rest, **options)
        case complex(real=1.5) | -1j | None:
            pass
    with (open(text) as one, open(text) as two):
        return [x for x in rest if (z := x)] if not ... else {**options, 1_000: 0x1F, 1e400: {1, 2}}
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_the_hash_is_the_same_in_every_version_of_python(version, tmp_path):
    """On a machine that has several; the hashes beside the formulas are compared in each."""
    variable = f"PYTHON_{version.replace('.', '_')}"
    python = os.environ.get(variable) or shutil.which(f"python{version}")
    (tmp_path / "syntax.py").write_text(SYNTAX)
    code = (
        f"import json, pathlib, sys\nsys.path.insert(0, {str(PACKAGE / 'identity')!r})\n"
        "import loss_code\n"
        "print(sys.version_info[:2])\n"
        "found = loss_code.hashes(), loss_code.hashes(pathlib.Path(sys.argv[1]))\n"
        "print(json.dumps(found, sort_keys=True))\n"
    )
    arguments = ["-c", code, str(tmp_path)]
    ran = python and subprocess.run([python, *arguments], capture_output=True, text=True)
    if not ran or f"({version.replace('.', ', ')})" not in ran.stdout:
        pytest.skip(f"there is no Python {version} on the path")
    here = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[1] == here.stdout.splitlines()[1]
    assert '"all"' in ran.stdout


def test_the_hash_of_a_syntax_with_everything_is_known(tmp_path):
    """So that a Python that is alone on a machine notices that it makes another hash."""
    (tmp_path / "syntax.py").write_text(SYNTAX)
    assert hashes(tmp_path)["all"][:12] == "bdc63a4827eb"
