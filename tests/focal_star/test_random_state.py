"""The random generators, put back where they were."""

import io
import random

import numpy as np
import torch

from focal_star.random_state import kept_random_state, random_state, set_random_state


def drawn() -> list[float]:
    normal = [random.gauss(0, 1), np.random.standard_normal(), torch.randn(()).item()]
    uniform = [random.random(), np.random.rand(), torch.rand(()).item()]
    return normal + uniform + [int(np.random.randint(2**31)), random.randrange(2**31)]


def test_they_go_on_where_they_were():
    drawn()  # leaves half of a pair of normal numbers waiting
    file = io.BytesIO()
    torch.save(random_state(), file)
    file.seek(0)
    expected = drawn()
    assert drawn() != expected
    set_random_state(torch.load(file, weights_only=True))
    assert drawn() == expected


def test_what_is_drawn_inside_is_drawn_again_outside():
    with kept_random_state():
        inside = drawn()
    assert drawn() == inside
