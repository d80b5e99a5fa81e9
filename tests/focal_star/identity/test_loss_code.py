"""What counts in the hash of a loss's code."""

import os
import shutil
import subprocess
import sys

import pytest

from focal_star.identity import loss_code
from focal_star.identity.loss_code import LOSSES_FILE, hashes
from focal_star.losses import LOSSES

MINE = '''

LIMIT = 3
OTHER = 4


def _steep(s, factor=LIMIT):
    return 2 * s


def _double(function):
    return lambda s: 2 * function(s)


@_double
def _decorated(s):
    return s + 1


class Shape:
    slope = 1.0

    @staticmethod
    def of(s):
        return s * Shape.slope


@named("mine")
def my_loss(logits, targets, *, alpha=None, gamma=1.0, reduction="none"):
    """As printed."""

    def loss(s):
        return _softplus(-_steep(s)) + _decorated(s) + Shape.of(s)

    return _loss(loss, logits, targets, alpha, reduction)
'''
ALL = {*LOSSES, "mine"}


@pytest.fixture
def file(tmp_path):
    copy = tmp_path / "losses.py"
    copy.write_text(LOSSES_FILE.read_text(encoding="utf-8") + MINE, encoding="utf-8")
    return copy


def changed(file, old, new, edited=None):
    """Which losses' hashes change when a text is replaced in ``edited``, or in the file itself."""
    edited = edited or file
    before, text = hashes([file]), edited.read_text(encoding="utf-8")
    assert text.count(old) >= 1
    edited.write_text(text.replace(old, new), encoding="utf-8")
    after = hashes([file])
    assert after.keys() == before.keys()
    return {name for name in after if after[name] != before[name]}


def test_every_loss_of_the_project_has_a_hash():
    assert hashes().keys() == LOSSES.keys()
    assert len(set(hashes().values())) == len(LOSSES)


@pytest.mark.parametrize(
    ("old", "new", "losses"),
    [
        ("return _softplus(-_steep(s))", "return _softplus(-_steep(s)) ** 2", {"mine"}),
        ("return 2 * s", "return 3 * s", {"mine"}),  # a helper
        ("LIMIT = 3", "LIMIT = 4", {"mine"}),  # a constant in a default argument
        ("OTHER = 4", "OTHER = 5", set()),  # one that no loss uses
        ("2 * function(s)", "3 * function(s)", {"mine"}),  # a decorator
        ("@_double\n", "", {"mine"}),
        ("slope = 1.0", "slope = 1.5", {"mine"}),  # through an attribute
        ("slope = 1.0", "slope = 1", {"mine"}),  # another type
        ("OTHER = 4", "OTHER = 4\n_steep = _double(_steep)", {"mine"}),  # bound a second time
        ("OTHER = 4", "LIMIT += 4", {"mine"}),
        ("OTHER = 4", "OTHER = LIMIT = 4", {"mine"}),
        ("OTHER = 4", "OTHER, LIMIT = 4, 5", {"mine"}),
        ("OTHER = 4", "if True:\n    LIMIT = 4", ALL),  # what is no definition may do anything
        ("OTHER = 4", "F.logsigmoid = torch.sigmoid", ALL),
        ("OTHER = 4", 'LOSSES["focal"] = cross_entropy_loss', ALL),
        ("OTHER = 4", "torch.set_flush_denormal(True)", ALL),
        ("OTHER = 4", "from __future__ import annotations", ALL),
        ("OTHER = 4", 'if __name__ == "__main__":\n    print(LOSSES)', set()),
        ("alpha=None, gamma=1.0", "alpha=None, gamma=2.0", {"mine"}),
        ("torch.exp(-gamma * _softplus(s)) * _softplus(-s)", "_softplus(-s)", {"focal"}),
        ("from torch.nn import functional as F", "from torch.special import functional as F", ALL),
        ("import math", "import math, os", set()),
        ("import math", "import cmath as math", ALL),
        ("0.78 * math.log", "0.79 * math.log", ALL),  # all are held in its range
        ("1e30", "1e31", ALL),
        ("1e30", "1e+30", set()),  # the same number
        ("LOSSES[name] = loss", "LOSSES[name] = lambda *a, **k: 2 * loss(*a, **k)", ALL),
        ('"""As printed."""', '"""As it is printed."""', set()),
        ('    """As printed."""\n', "", set()),
        ("2 * s", "(2\n        * s)", set()),  # layout
        ("    return _loss(loss, logits, targets, alpha, reduction)\n",
         "\n    # all of it\n    return _loss(loss, logits, targets, alpha, reduction)\n", set()),
        ("    return 2 * s", '    return 2 * s * globals()["OTHER"]', {"mine"}),
    ],
)  # fmt: skip
def test_what_counts(file, old, new, losses):
    assert changed(file, old, new) == losses


def test_a_name_that_is_looked_up_by_its_text_counts(file):
    changed(file, "    return 2 * s", '    return 2 * s * globals()["OTHER"]')
    assert changed(file, "OTHER = 4", "OTHER = 5") == {"mine"}


@pytest.mark.parametrize(
    ("statement", "call"),
    [
        ("from helpers import steep as _steep", "_steep"),
        ("from helpers import *", "steep"),
        ("import helpers", "helpers.steep"),
        ("import helpers as h", "h.steep"),
        ("from package import helpers", "helpers.steep"),
        ("from package.helpers import steep", "steep"),
        ("import package.helpers", "package.helpers.steep"),
    ],
)
def test_a_helper_of_another_file_counts(tmp_path, statement, call):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    helpers = (package if "package" in statement else tmp_path) / "helpers.py"
    helpers.write_text("from constants import A\ndef steep(s):\n    return A * s\ndef b(): 0\n")
    (tmp_path / "constants.py").write_text("A = 2\n")
    if "package" in statement:
        helpers.write_text(helpers.read_text().replace("constants", ".constants"))
        shutil.move(tmp_path / "constants.py", package)
    file = tmp_path / "mine.py"
    file.write_text(f'{statement}\n@named("mine")\ndef f(s):\n    return {call}(s)\n')
    assert changed(file, "A * s", "A / s", edited=helpers) == {"mine"}
    assert changed(file, "A = 2", "A = 3", edited=helpers.with_name("constants.py")) == {"mine"}


def test_a_name_of_another_file_counts_alone(tmp_path):
    (tmp_path / "helpers.py").write_text("def steep(s):\n    return s\ndef b():\n    return 0\n")
    file = tmp_path / "mine.py"
    file.write_text('from helpers import steep\n@named("mine")\ndef f(s):\n    return steep(s)\n')
    assert changed(file, "return 0", "return 1", edited=tmp_path / "helpers.py") == set()
    assert changed(file, "return s", "return -s", edited=tmp_path / "helpers.py") == {"mine"}


def test_inside_a_package_relative_imports_count(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "helpers.py").write_text("def steep(s):\n    return s\n")
    file = package / "mine.py"
    file.write_text(
        '@named("mine")\ndef f(s):\n    from .helpers import steep\n    return steep(s)\n'
    )
    assert changed(file, "return s", "return -s", edited=package / "helpers.py") == {"mine"}


def test_the_projects_losses_count_where_another_file_uses_them(tmp_path, monkeypatch):
    package = tmp_path / "focal_star"
    package.mkdir()
    (package / "losses.py").write_text(LOSSES_FILE.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(loss_code, "PACKAGE", package)
    file = tmp_path / "mine.py"
    file.write_text(
        "from focal_star.losses import _loss, _softplus, named\n"
        '@named("mine")\ndef f(x, y, *, alpha=None, gamma=1.0, reduction="none"):\n'
        "    return _loss(lambda s: _softplus(-s), x, y, alpha, reduction)\n"
    )
    assert changed(file, "0.78 *", "0.79 *", edited=package / "losses.py") == {"mine"}
    assert changed(file, "-gamma * s", "gamma * s", edited=package / "losses.py") == set()


def test_a_loss_that_another_file_of_the_package_registers_is_found(tmp_path):
    (tmp_path / "losses.py").write_bytes(LOSSES_FILE.read_bytes())
    (tmp_path / "extra.py").write_text('@losses.named("extra")\ndef f(s):\n    return s\n')
    assert hashes(package=tmp_path).keys() == {*LOSSES, "extra"}


@pytest.mark.parametrize("content", ["def broken(:\n", "\0", None])
def test_a_file_that_is_no_python_has_no_losses(tmp_path, content):
    path = tmp_path / "losses.py"
    if content is not None:
        path.write_text(content)
    assert hashes([path]) == {}


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
    path = tmp_path / "syntax.py"
    path.write_text(SYNTAX)
    code = (
        "import importlib.util, json, pathlib, sys\n"
        f"spec = importlib.util.spec_from_file_location('loss_code', {loss_code.__file__!r})\n"
        "module = sys.modules['loss_code'] = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "print(sys.version_info[:2])\n"
        f"print(json.dumps(module.hashes([pathlib.Path({str(LOSSES_FILE)!r}),"
        f" pathlib.Path({str(path)!r})]), sort_keys=True))\n"
    )
    ran = python and subprocess.run([python, "-c", code], capture_output=True, text=True)
    if not ran or f"({version.replace('.', ', ')})" not in ran.stdout:
        pytest.skip(f"there is no Python {version} on the path")
    here = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[1] == here.stdout.splitlines()[1]
    assert '"all"' in ran.stdout


def test_the_hash_of_a_syntax_with_everything_is_known(tmp_path):
    """So that a Python that is alone on a machine notices that it makes another hash."""
    path = tmp_path / "syntax.py"
    path.write_text(SYNTAX)
    assert hashes([path])["all"][:12] == "374dfcb6e125"
