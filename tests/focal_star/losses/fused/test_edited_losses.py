"""An edited loss is the one that is trained, or is refused."""

import warnings
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
import torch

from focal_star.identity.loss_code import hashes
from focal_star.identity.running_loss import loss_sha256
from focal_star.losses import LOSSES
from focal_star.losses.fused import FUSED
from focal_star.modeling import retinanet
from focal_star.modeling.retinanet import FocalStarRetinaNet
from tests.focal_star.losses.fused.edits import FOLDER, edits, imported

NUMBER = 300
SETTINGS = {
    "ce": {"alpha": 0.25, "gamma": 0.0},
    "focal": {"alpha": 0.25, "gamma": 2.0},
    "focal_star": {"alpha": 0.25, "gamma": 0.5, "weight_cap": None},
    "focal_appendix": {"alpha": 0.25, "gamma": 2.0, "beta": 1.0},
}
NEAR = torch.linspace(-22, 22, 23)
FAR = torch.tensor([26.0, 45.0, 137.0, 139.0, 310.0, 2.1e3, 5.1e3, 9.5e3, 1e4, 1e9, 1e29, 1e35])
LINE = torch.cat([NEAR, FAR, -FAR])
SOME = slice(None, None, 6)
CLOSE = {"rtol": 1e-4, "atol": 1e-30, "equal_nan": True}
HASHES = hashes()
FILE_OF = {name: Path(LOSSES[name].__code__.co_filename).name for name in LOSSES}
ORDER = ("other numbers", "same numbers", "refused")
"""What may become of an edit: the first of these that one of its losses shows."""


class Detector(FocalStarRetinaNet):
    """What of the detector chooses and computes its classification loss; no network."""

    device = torch.device("cpu")

    def __init__(self, name, loss, options):
        torch.nn.Module.__init__(self)
        self.num_classes = 1
        self.classification_loss = partial(loss, reduction="sum", **options)
        self._fused_loss_options = {"name": name, "kernel": "eager", **options}


def trained(name, loss, label):
    """The gradients that the detector trains with, and, if the loss is fused, some values."""
    logits = LINE.view(1, -1, 1).clone().requires_grad_()
    detector = Detector(name, loss, SETTINGS[name])
    total = detector.loss_cls([logits], torch.full((1, len(LINE)), label), 1.0)
    (gradient,) = torch.autograd.grad(total, logits)
    if detector.fused_loss is None:
        return gradient.flatten(), None
    some = [detector.loss_cls([x.view(1, 1, 1)], torch.tensor([[label]]), 1.0) for x in LINE[SOME]]
    return gradient.flatten(), torch.stack(some)


def written(name, loss, label):
    """The gradients of a loss as it is written, and its values."""
    x = LINE.clone().requires_grad_()
    value = loss(x, torch.full(LINE.shape, label == 0), **SETTINGS[name])
    (gradient,) = torch.autograd.grad(value.sum(), x)
    return gradient, value.detach()


def test_none_of_many_random_edits_is_trained_or_recorded_as_the_old_loss(tmp_path):
    old = {(n, label): written(n, LOSSES[n], label) for n in LOSSES for label in (0, 1)}
    count = Counter()
    for file, what, text in edits(NUMBER):
        try:
            with warnings.catch_warnings(), imported(tmp_path / "focal_star", {file: text}) as new:
                warnings.simplefilter("ignore")  # of Python, about the syntax of an edit
                planned = hashes(tmp_path / "focal_star")
                outcomes = {outcome(*each, new.LOSSES, planned, what, old) for each in old}
        except AssertionError:
            raise
        except Exception:  # an edit may raise whatever Python can
            outcomes = {"refused"}
        found = next(each for each in ORDER if each in outcomes)
        count[found] += 1
        planned = hashes(tmp_path / "focal_star")
        for name, path in FILE_OF.items():
            if file not in (path, "base.py"):
                assert planned[name] == HASHES[name], f"{what} makes {name} stale"
    # The edits are of every kind.
    assert count.total() == NUMBER
    assert min(count[each] for each in ORDER) > 5, count


def outcome(name, label, edited, planned, what, old):
    """What becomes of a loss after an edit, checked."""
    try:
        expected, values = written(name, edited[name], label)
        gradient, some = trained(name, edited[name], label)
    except Exception:
        return "refused"
    torch.testing.assert_close(gradient, expected, **CLOSE, msg=lambda text: f"{what}: {text}")
    if some is not None:
        torch.testing.assert_close(some, values[SOME], **CLOSE, msg=lambda text: f"{what}: {text}")
    before, values_before = old[name, label]
    if torch.allclose(expected, before, **CLOSE) and torch.allclose(values, values_before, **CLOSE):
        return "same numbers"
    assert some is None, f"{what}: the fused form of the old loss is trained"
    assert planned[name] != HASHES[name], f"{what}: recorded as the old loss"
    assert loss_sha256(name, edited[name]) == planned[name], what
    return "other numbers"


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        # A cap on the weight of very hard examples, which has no effect within |s| <= 20.
        ("focal_star.py", "exponent = -gamma * s\n", "exponent = (-gamma * s).clamp(max=12.5)\n"),
        ("base.py", "0.78 * math.log", "0.70 * math.log"),
        ("focal_star.py", "(exponent) * softplus(-s)", "(exponent) * softplus(-s.clamp(-25))"),
    ],
)
def test_an_edit_far_out_on_the_line_of_logits_is_trained(tmp_path, caplog, file, old, new):
    text = (FOLDER / file).read_text(encoding="utf-8")
    assert text.count(old) == 1
    before = [written("focal_star", LOSSES["focal_star"], label)[0] for label in (0, 1)]
    with imported(tmp_path / "focal_star", {file: text.replace(old, new)}) as edited:
        for label in (0, 1):
            expected, _ = written("focal_star", edited.LOSSES["focal_star"], label)
            assert not torch.allclose(expected, before[label])
            gradient, some = trained("focal_star", edited.LOSSES["focal_star"], label)
            assert some is None
            torch.testing.assert_close(gradient, expected)
    assert len(caplog.messages) == 2, "one of each detector"
    assert set(caplog.messages) == {
        "the loss 'focal_star' was changed; its fused form is not used, so a step takes longer"
    }


def test_the_loss_as_it_is_is_fused(tmp_path, caplog):
    """Also one that is imported from another place, and with other comments."""
    base = (FOLDER / "base.py").read_text(encoding="utf-8")
    base = base.replace("\n\n\n", "\n\n# A comment.\n\n\n")
    with imported(tmp_path / "focal_star", {"base.py": base}) as copy:
        assert Path(copy.__file__).is_relative_to(tmp_path)
        for name in FUSED:
            assert trained(name, copy.LOSSES[name], 0)[1] is not None
    assert not caplog.messages


def test_the_detector_of_this_test_computes_as_the_real_one():
    assert Detector.loss_cls is retinanet.FocalStarRetinaNet.loss_cls
    assert Detector.fused_loss is retinanet.FocalStarRetinaNet.fused_loss
