"""What of a loss's code counts in the fingerprint of its cells."""

import pytest

from ablations.fingerprint import Identity
from ablations.loss_code import LOSSES_FILE, SHIPPED, hashes, own_code
from focal_star.losses import LOSSES

OWN = '''

def _steep(s):
    return 2 * s


@named("mine")
def my_loss(logits, targets, *, alpha=None, gamma=1.0, reduction="none"):
    """As printed."""

    def loss(s):
        return _softplus(-_steep(s))

    return _loss(loss, logits, targets, alpha, reduction)
'''


@pytest.fixture
def file(tmp_path):
    copy = tmp_path / "losses.py"
    copy.write_text(LOSSES_FILE.read_text(encoding="utf-8") + OWN, encoding="utf-8")
    return copy


def changed(file, old, new):
    """Which losses' hashes change with the text."""
    before, text = hashes(file), file.read_text(encoding="utf-8")
    assert text.count(old) >= 1
    file.write_text(text.replace(old, new), encoding="utf-8")
    after = hashes(file)
    assert after.keys() == before.keys()
    return {name for name in after if after[name] != before[name]}


def test_the_losses_are_those_that_numerics_stands_for():
    """After a change of their code: the new hashes there, and NUMERICS raised if a number moves."""
    found = hashes()
    assert {name: found[name] for name in SHIPPED} == SHIPPED
    assert found.keys() == LOSSES.keys()
    assert all(own_code(name) == "" for name in SHIPPED)


def test_a_new_loss_is_known_by_its_code(file):
    assert len(own_code("mine", file)) == 64
    assert own_code("focal", file) == ""
    assert own_code("none", file) == ""


@pytest.mark.parametrize(
    ("old", "new", "losses"),
    [
        ("return _softplus(-_steep(s))", "return _softplus(-_steep(s)) ** 2", {"mine"}),
        ("return 2 * s", "return 3 * s", {"mine"}),  # what it uses
        ("def my_loss(logits, targets, *, alpha=None, gamma=1.0",
         "def my_loss(logits, targets, *, alpha=None, gamma=2.0", {"mine"}),
        ("torch.exp(-gamma * _softplus(s)) * _softplus(-s)", "_softplus(-s)", {"focal"}),
        ("0.78 * math.log", "0.70 * math.log", {*LOSSES, "mine"}),  # all are held in its range
        ('"""As printed."""', '"""As it is printed."""', set()),
        ("    return _loss(loss, logits, targets, alpha, reduction)\n",
         "\n    # all of it\n    return _loss(loss, logits, targets, alpha, reduction)\n", set()),
    ],
)  # fmt: skip
def test_what_counts(file, old, new, losses):
    assert changed(file, old, new) == losses


def test_a_changed_loss_of_the_project_is_one_of_ones_own(file):
    changed(file, "torch.exp(-gamma * _softplus(s)) * _softplus(-s)", "_softplus(-s)")
    assert own_code("focal", file) != "" == own_code("ce", file)


@pytest.mark.parametrize("content", ["def broken(:\n", "\0", None])
def test_a_file_that_is_no_python_has_no_losses(tmp_path, content):
    path = tmp_path / "losses.py"
    if content is not None:
        path.write_text(content)
    assert hashes(path) == {} and own_code("focal", path) == ""


def test_the_code_is_a_part_of_the_identity_only_where_it_is_ones_own():
    shipped, own = Identity("c0", "da", "3e", 1), Identity("c0", "da", "3e", 1, loss="ab")
    assert "loss" not in shipped.as_dict()
    assert own.fingerprint != shipped.fingerprint
    assert own.changed(shipped.as_dict()) == shipped.changed(own.as_dict()) == ["loss"]
    assert own.changed(own.as_dict()) == []
