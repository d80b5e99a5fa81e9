"""The hash of the loss that runs is that of its file, or an error."""

import functools
import importlib.util
import os
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from focal_star.identity import running_loss
from focal_star.identity.loss_code import PACKAGE, Sources, hashes
from focal_star.identity.running_loss import LossCodeError, loss_sha256
from focal_star.losses import LOSSES, base, focal

MINE = """
import functools
import torch
from focal_star.losses.base import alpha_balanced, named, softplus

SLOPE = 2.0
TABLE = torch.tensor([1.0, 2.0])

class Half(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x / 2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return gradient / 2

class Shape:
    power = 1
    @staticmethod
    def of(s):
        return s ** Shape.power

def steep(s, factor=3.0):
    return s * SLOPE * factor * Shape.of(TABLE[0])

def doubled(function):
    @functools.wraps(function)
    def twice(*arguments, **options):
        return 2 * function(*arguments, **options)
    return twice

@named("mine")
def mine(logits, targets, *, alpha=None, gamma=1.0, reduction="none"):
    loss = lambda s: softplus(-steep(Half.apply(s)))
    return alpha_balanced(loss, logits, targets, alpha, reduction)

@named("decorated")
@doubled
def decorated(logits, targets, *, alpha=None, gamma=1.0, reduction="none"):
    return alpha_balanced(lambda s: softplus(-s), logits, targets, alpha, reduction)
"""


@pytest.fixture
def clean(monkeypatch):
    """What a test registers and reads goes with it."""
    before = dict(LOSSES)
    monkeypatch.setattr(running_loss, "_SOURCES", Sources())
    yield
    LOSSES.clear()
    LOSSES.update(before)


def load(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def mine(tmp_path, clean, monkeypatch):
    """A module of a user's, imported from a file of its own."""
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    (tmp_path / "mine.py").write_text(MINE)
    return load(tmp_path / "mine.py", "mine_of_a_test")


def sha256(name):
    return loss_sha256(name, LOSSES[name])


@pytest.mark.parametrize("name", LOSSES)
def test_the_projects_losses_run_the_code_of_their_file(name):
    x = torch.linspace(-3, 3, 5)
    for _ in range(2000):  # Python rewrites the bytecode of a function that is called often
        LOSSES[name](x, x > 0)
    assert sha256(name) == hashes()[name]


VALID = """
import enum
from abc import ABC
from typing import NamedTuple
from torch import ops

class Side(enum.Enum):
    LEFT = 1
    RIGHT = "right"
    def sign(self):
        return -1 if self is Side.LEFT else 1

class Level(enum.IntEnum):
    LOW = 1

class Part(NamedTuple):
    weight: float = 2.0
    def twice(self):
        return 2 * self.weight

class _Steps(ABC):
    __first = 3
    table = None
    def __inner(self):
        return self.__first
    def fill(self):
        _Steps.table = self.__inner()

_TABLE = None
_READY: bool = False
LIMIT = None

def fill():
    global _TABLE, _READY
    _TABLE, _READY = [1.0, 2.0], True
    _Steps().fill()

fill()
"""


@pytest.fixture
def valid(tmp_path, clean, monkeypatch):
    """A module with what Python changes after it was written."""
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    (tmp_path / "mine.py").write_text(VALID + MINE)
    return load(tmp_path / "mine.py", "mine_of_a_test")


def test_what_python_itself_changes_is_no_difference(valid):
    assert sha256("mine") == Sources().sha256("mine", Path(valid.__file__))
    assert (valid._TABLE, valid._Steps.table) == ([1.0, 2.0], 3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LIMIT", 3.0),
        ("Side.sign", lambda self: 2),
        ("Part.twice", lambda self: 3),
        ("Part", tuple),
        ("_Steps._Steps__inner", lambda self: 4),
        ("_Steps._Steps__first", 4),
        ("fill", lambda: None),
    ],
)
def test_what_was_replaced_beside_it_is_an_error(valid, monkeypatch, name, value):
    sha256("mine")
    owner, _, attribute = name.rpartition(".")
    monkeypatch.setattr(getattr(valid, owner) if owner else valid, attribute, value)
    with pytest.raises(LossCodeError, match="loss 'mine': .* was replaced in it: start it again"):
        sha256("mine")


@pytest.mark.parametrize("name", ["mine", "decorated"])
def test_a_loss_of_a_file_of_ones_own_has_its_hash(mine, name):
    path = Path(mine.__file__)
    assert sha256(name) == Sources().sha256(name, path)
    assert len(Sources().used_by(path)) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steep", lambda s: s),
        ("steep", torch.sigmoid),
        ("SLOPE", 2.5),
        ("SLOPE", 2),
        ("softplus", torch.nn.functional.softplus),
        ("torch", os),
        ("Shape", type("Shape", (), {"of": staticmethod(lambda s: s)})),
        ("Shape.power", 2),
        ("Shape.of", staticmethod(lambda s: s)),
        ("steep.__defaults__", (4.0,)),
        ("steep.__code__", (lambda s, factor=3.0: s).__code__),
        ("mine.__code__", LOSSES["ce"].__code__),
        ("mine.__kwdefaults__", {"alpha": None, "gamma": 2.0, "reduction": "none"}),
    ],
)
def test_what_was_replaced_in_the_process_is_an_error(mine, monkeypatch, name, value):
    sha256("mine")
    owner, _, attribute = name.rpartition(".")
    monkeypatch.setattr(getattr(mine, owner) if owner else mine, attribute, value)
    with pytest.raises(LossCodeError, match="loss 'mine': .* was replaced in it: start it again"):
        sha256("mine")


def test_a_shared_function_that_was_replaced_is_an_error(mine, monkeypatch):
    monkeypatch.setattr(base._Saturate, "forward", staticmethod(lambda ctx, x, growth: x * 1))
    for name in ("mine", "focal"):
        with pytest.raises(LossCodeError, match=f"loss '{name}': _Saturate differs from "):
            sha256(name)


@pytest.mark.parametrize(
    ("old", "new"),
    [("SLOPE = 2.0", "SLOPE = 3.0"), ("s * SLOPE", "s / SLOPE"), ("factor=3.0", "factor=4.0"),
     ("gradient / 2", "gradient / 3"), ("power = 1", "power = 2"), ("-steep(Half", "+steep(Half")],
)  # fmt: skip
def test_a_file_that_was_edited_after_its_import_is_an_error_or_was_read_before(mine, old, new):
    path = Path(mine.__file__)
    path.write_text(MINE.replace(old, new))
    with pytest.raises(LossCodeError, match="changed while this process was starting"):
        sha256("mine")
    path.write_text(MINE)
    running_loss._SOURCES = Sources()
    before = sha256("mine")
    path.write_text(MINE.replace(old, new))
    assert sha256("mine") == before != Sources().sha256("mine", path)


def test_an_edit_of_the_losses_after_their_import_changes_nothing_here(tmp_path):
    """The process trains what it has imported, and says so."""
    package = tmp_path / "focal_star"
    for folder in ("losses", "identity"):
        shutil.copytree(PACKAGE / folder, package / folder)
    (package / "__init__.py").touch()
    shutil.copy(package / "losses" / "focal.py", package / "losses" / "focal copy.py")
    script = tmp_path / "script.py"
    script.write_text(
        "from focal_star.identity.running_loss import loss_sha256\n"
        "from focal_star.identity.loss_code import hashes\n"
        "from focal_star.losses import LOSSES, base\n"
        "before = hashes()['focal']\n"
        "path = __import__('pathlib').Path(base.__file__)\n"
        "path.write_text(path.read_text().replace('0.78', '0.79'))\n"
        "print(loss_sha256('focal', LOSSES['focal']) == before != hashes()['focal'], path)\n"
    )
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["True", str(package / "losses" / "base.py")]


@pytest.mark.parametrize(("old", "new"), [("* SLOPE", "/ SLOPE"), ("SLOPE = 2.0", "SLOPE = 4.0")])
def test_old_bytecode_is_an_error_that_names_it(tmp_path, clean, monkeypatch, old, new):
    """Python takes the bytecode of a file whose time and size are as they were."""
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    cached = py_compile.compile(str(path))
    time = path.stat().st_mtime_ns
    path.write_text(MINE.replace(old, new))
    os.utime(path, ns=(time, time))
    module = load(path, "mine_of_old_bytecode")
    assert module.steep(torch.tensor(1.0)) == 6.0, "the old bytecode ran"
    with pytest.raises(LossCodeError, match=f"old bytecode of .*mine.py: delete {cached} and"):
        sha256("mine")


def test_a_helper_that_the_hash_does_not_cover_is_an_error(tmp_path, clean, monkeypatch):
    """Not found by reading the file, as its import is a call."""
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "helpers_of_a_test.py").write_text("def steep(s):\n    return s\n")
    monkeypatch.syspath_prepend(folder)
    statement = "helpers = __import__('importlib').import_module('helpers_of_a_test')\n"
    (tmp_path / "mine.py").write_text(statement + MINE)
    load(tmp_path / "mine.py", "mine_of_a_test")
    with pytest.raises(LossCodeError, match="uses helpers of .*helpers_of_a_test.py, which its"):
        sha256("mine")


@pytest.mark.parametrize(
    "loss",
    [
        functools.partial(LOSSES["focal"], gamma=3.0),
        functools.wraps(LOSSES["focal"])(lambda *x, **options: 2 * LOSSES["focal"](*x, **options)),
        LOSSES["ce"],
        torch.nn.functional.logsigmoid,
        eval("lambda x, y, **options: x.sum()", {}),
        None,
    ],
)
def test_what_no_file_registers_is_an_error(loss):
    with pytest.raises(LossCodeError, match="no file defines it below @named.'focal'.: define it"):
        loss_sha256("focal", loss)


def test_a_replaced_import_is_an_error(monkeypatch):
    monkeypatch.setattr(focal, "softplus", lambda x: x)
    with pytest.raises(LossCodeError, match="softplus differs from .*focal.py"):
        sha256("focal")
    assert sha256("focal_star") == hashes()["focal_star"]
