import math

import numpy as np
import pytest

from reports import formulas

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
