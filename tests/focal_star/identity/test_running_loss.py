"""The hash of the loss that runs is that of its file, or an error."""

import functools
import importlib.util
import os
import py_compile
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from focal_star import losses
from focal_star.identity.loss_code import LOSSES_FILE, hashes
from focal_star.identity.running_loss import LossCodeError, code_of, running_loss_code
from focal_star.losses import LOSSES

MINE = """
import functools
import torch
from focal_star.losses import _loss, _softplus, named

SLOPE = 2.0
LOW, HIGH = -8.0, 8.0
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
    return (s + LOW + HIGH) * SLOPE * factor * Shape.of(TABLE[0])

def doubled(function):
    @functools.wraps(function)
    def twice(*arguments, **options):
        return 2 * function(*arguments, **options)
    return twice

@named("mine")
def mine(logits, targets, *, alpha=None, gamma=1.0, reduction="none"):
    return _loss(lambda s: _softplus(-steep(Half.apply(s))), logits, targets, alpha, reduction)

@named("decorated")
@doubled
def decorated(logits, targets, *, alpha=None, gamma=1.0, reduction="none"):
    return _loss(lambda s: _softplus(-s), logits, targets, alpha, reduction)

def register(name, factor):
    @named(name)
    def loss(logits, targets, *, alpha=None, gamma=1.0, reduction="none"):
        return _loss(lambda s: factor * _softplus(-s), logits, targets, alpha, reduction)
    return loss

register("once", 1.0)
register("twice", 2.0)
named("bound")(functools.partial(mine, gamma=3.0))
"""


@pytest.fixture
def clean(monkeypatch):
    """Losses that a test registers go with it."""
    before = dict(LOSSES)
    yield
    LOSSES.clear()
    LOSSES.update(before)


def load(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def mine(tmp_path, clean, request):
    """A module of a user's, imported from a file of its own."""
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    name = f"mine_of_{request.node.name}"
    yield load(path, name)
    del sys.modules[name]


@pytest.mark.parametrize("name", LOSSES)
def test_the_projects_losses_run_the_code_of_their_file(name):
    x = torch.linspace(-3, 3, 5)
    for _ in range(2000):  # Python rewrites the bytecode of a function that is called often
        LOSSES[name](x, x > 0)
    assert running_loss_code(name) == hashes()[name]


def test_a_name_that_is_not_registered_is_refused():
    with pytest.raises(ValueError, match="loss 'fl' is not registered; valid: ce, focal, "):
        running_loss_code("fl")


def test_a_loss_of_another_module_has_its_hash(mine):
    found = {name: running_loss_code(name) for name in LOSSES}
    assert len(set(found.values())) == len(LOSSES) == 9
    assert {name: found[name] for name in ("mine", "decorated")} == hashes([Path(mine.__file__)])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steep", lambda s: s),
        ("steep", torch.sigmoid),
        ("SLOPE", 2.5),
        ("SLOPE", 2),
        ("_softplus", torch.nn.functional.softplus),
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
    running_loss_code("mine")
    owner, _, attribute = name.rpartition(".")
    monkeypatch.setattr(getattr(mine, owner) if owner else mine, attribute, value)
    with pytest.raises(LossCodeError, match="loss 'mine': .* was replaced in it: start it again"):
        running_loss_code("mine")


def test_a_helper_of_losses_that_was_replaced_is_an_error(mine, monkeypatch):
    monkeypatch.setattr(losses._Saturate, "forward", staticmethod(lambda ctx, x, growth: x * 1))
    for name in ("mine", "focal"):
        with pytest.raises(LossCodeError, match=f"loss '{name}': _Saturate differs from "):
            running_loss_code(name)


@pytest.mark.parametrize(
    ("old", "new"),
    [("SLOPE = 2.0", "SLOPE = 3.0"), (") * SLOPE", ") / SLOPE"), ("factor=3.0", "factor=4.0"),
     ("gradient / 2", "gradient / 3"), ("power = 1", "power = 2"), ("-steep(Half", "+steep(Half")],
)  # fmt: skip
def test_a_file_that_was_edited_after_its_import_is_an_error(mine, old, new):
    path = Path(mine.__file__)
    path.write_text(MINE.replace(old, new))
    with pytest.raises(LossCodeError, match="changed while this process was starting"):
        running_loss_code("mine")


def test_a_comment_that_was_added_after_the_import_is_none(mine):
    before = hashes([Path(mine.__file__)])["mine"]
    Path(mine.__file__).write_text("# A comment.\n\n" + MINE)
    assert running_loss_code("mine") == before


def test_an_edit_of_losses_after_the_import_changes_nothing_here(tmp_path):
    """The process trains what it has imported, and says so."""
    path = tmp_path / "focal_star"
    path.mkdir()
    for name in ("__init__.py", "losses.py", "loss_code.py", "running_code.py", "running_loss.py"):
        (path / name).write_bytes((LOSSES_FILE.parent / name).read_bytes())
    script = tmp_path / "script.py"
    script.write_text(
        "from focal_star.identity.running_loss import running_loss_code, losses\n"
        "before = running_loss_code('focal')\n"
        "path = __import__('pathlib').Path(losses.__file__)\n"
        "path.write_text(path.read_text().replace('0.78', '0.79'))\n"
        "print(running_loss_code('focal') == before, path)\n"
    )
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["True", str(path / "losses.py")]


def test_old_bytecode_is_an_error_that_names_it(tmp_path, clean):
    """Python takes the bytecode of a file whose time and size are as they were."""
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    cached = py_compile.compile(str(path))
    time = path.stat().st_mtime_ns
    path.write_text(MINE.replace("* SLOPE", "/ SLOPE"))
    os.utime(path, ns=(time, time))
    module = load(path, "mine_of_old_bytecode")
    assert module.steep(torch.tensor(1.0)) == 6.0, "the old bytecode ran"
    with pytest.raises(LossCodeError, match=f"old bytecode of .*mine.py: delete {cached} and"):
        running_loss_code("mine")
    del sys.modules["mine_of_old_bytecode"]


def test_a_loss_without_source_is_an_error():
    names = {}
    exec("def mine(x, y, **options): return x.sum()", names)
    with pytest.raises(LossCodeError, match="cannot be read; define it in a file"):
        code_of("mine", names["mine"])
    with pytest.raises(LossCodeError, match="valid: a function, or a functools.partial of one"):
        code_of("mine", torch.nn.functional.logsigmoid)


def test_what_wraps_a_loss_counts():
    def twice(loss, factor=2):
        @functools.wraps(loss)
        def wrapped(*arguments, **options):
            return factor * loss(*arguments, **options)

        return wrapped

    found = [
        code_of("focal", loss)
        for loss in (
            LOSSES["focal"],
            twice(LOSSES["focal"]),
            twice(LOSSES["focal"], 3),
            twice(LOSSES["ce"]),
            partial(LOSSES["focal"], gamma=3.0),
            partial(LOSSES["focal"], gamma=4.0),
            lambda x, y, **options: LOSSES["focal"](x, y, **options) * 2,
        )
    ]
    assert len(set(found)) == len(found)
    assert found[0] == hashes()["focal"]
