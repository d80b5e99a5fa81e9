"""The code of a loss is a part of the identity of its cells."""

import shutil
from dataclasses import replace

import pytest

from ablations.identity.snapshot import PACKAGE, Code
from ablations.storage.layout import ROOT
from ablations.study.cell import Cell, Setting
from focal_star.identity.loss_code import hashes
from tests.ablations.identity.test_fingerprint import CONFIG, prepared

CELLS = {loss: Cell(Setting.of(loss=loss, alpha=0.25, gamma=2.0), 1) for loss in hashes()}


def identities(code=None):
    found = prepared().identities(list(CELLS.values()), code=code)
    return {loss: found[cell] for loss, cell in CELLS.items()}


def test_identity_always_has_the_loss_hash():
    found = identities()
    assert {loss: identity.loss for loss, identity in found.items()} == hashes()
    for loss, identity in found.items():
        recorded = identity.as_dict()
        assert recorded["loss"] == hashes()[loss]
        assert identity.changed(recorded) == []
        other = replace(identity, loss="ab")
        assert other.changed(recorded) == ["loss"] and other.fingerprint != identity.fingerprint
        del recorded["loss"]  # a record that is older than this part
        assert identity.changed(recorded) == ["loss"]


@pytest.mark.parametrize(
    ("file", "old", "new", "stale"),
    [
        (
            "focal_star",
            "exponent = -gamma * s\n",
            "exponent = -gamma * s.clamp(min=-25)\n",
            {"focal_star"},
        ),
        ("base", "largest = 1e30", "largest = 1e29", set(CELLS)),
        ("base", "# With this share", "# With that share", set()),
        ("focal", "The focal loss FL, -", "FL, -", set()),
    ],
)
def test_an_edit_makes_the_cells_of_that_loss_stale(tmp_path, file, old, new, stale):
    before = identities()
    losses = tmp_path / PACKAGE / "losses"
    shutil.copytree(ROOT / PACKAGE / "losses", losses)
    (losses.parent / "__init__.py").touch()
    text = (losses / f"{file}.py").read_text(encoding="utf-8")
    assert text.count(old) == 1
    (losses / f"{file}.py").write_text(text.replace(old, new), encoding="utf-8")
    after = identities(Code(tmp_path))
    assert {loss for loss in CELLS if after[loss].fingerprint != before[loss].fingerprint} == stale


def test_detector_without_a_loss_has_no_loss_hash():
    config = CONFIG | {"MODEL": CONFIG["MODEL"] | {"DETECTOR": "faster_rcnn"}}
    cell = Cell(Setting.of(), 1)
    identity = prepared(config=config).identities([cell])[cell]
    assert identity.loss == ""


def test_unknown_loss_has_no_hash_and_training_refuses_it():
    cell = Cell(Setting.of(loss="none"), 1)
    assert prepared().identities([cell])[cell].loss == ""
