import math

import numpy as np
import pytest

from reports.plots import formulas

P_T = np.linspace(0.01, 1.0, 100)


@pytest.mark.parametrize("loss", ["focal", "focal_star"])
def test_gamma_0_is_the_cross_entropy(loss):
    np.testing.assert_allclose(
        formulas.LOSSES[loss](P_T, 0.0), formulas.cross_entropy(P_T), rtol=1e-12
    )


def test_hand_computed_values():
    p_t = np.array([0.2])
    # (0.8 / 0.2)^0.5 = 2; 0.8^2 = 0.64
    assert formulas.focal_star(p_t, 0.5)[0] == pytest.approx(2 * math.log(5))
    assert formulas.focal(p_t, 2)[0] == pytest.approx(0.64 * math.log(5))


def test_focal_star_meets_the_cross_entropy_at_one_half():
    for gamma in (0.125, 0.25, 0.5, 2.0):
        above, at, below = formulas.focal_star(np.array([0.4, 0.5, 0.6]), gamma)
        assert above > -math.log(0.4)
        assert at == pytest.approx(math.log(2))
        assert below < -math.log(0.6)


@pytest.mark.parametrize("loss", formulas.OF_LOGIT)
@pytest.mark.parametrize("gamma", [0.0, 0.125, 1.0, 5.0])
def test_losses_of_logits_are_those_that_are_trained_with(loss, gamma):
    torch = pytest.importorskip("torch")
    losses = pytest.importorskip("focal_star.losses")
    s = np.array([-200.0, -75.0, -30.0, -1.0, 0.0, 1.0, 30.0, 75.0, 200.0], dtype=np.float32)
    trained = losses.LOSSES[loss](torch.from_numpy(s), torch.ones(len(s)), gamma=gamma)
    ours = formulas.OF_LOGIT[loss](s.astype(np.float64), gamma)
    np.testing.assert_allclose(ours, trained.numpy(), rtol=2e-5, atol=1e-37)
