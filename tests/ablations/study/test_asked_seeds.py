import argparse

import pytest

from ablations.study.asked_seeds import ALL, asked_seeds, seeds_text


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("3", {ALL: 3}),
        ("alpha=3", {"alpha": 3}),
        (" 1  alpha=3 headline=1000 ", {ALL: 1, "alpha": 3, "headline": 1000}),
    ],
)
def test_a_number_for_all_grids_or_for_some(text, numbers):
    assert asked_seeds(text) == numbers
    assert asked_seeds(seeds_text(numbers)) == numbers


@pytest.mark.parametrize(
    "text",
    ["", " ", "0", "-1", "1.5", "two", "1001", "3 3", "alpha", "alpha=", "alpha=0", "=3"]
    + ["alpha=3 alpha=4"],
)
def test_anything_else_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"number of seeds.*valid: 3, or alpha=3"):
        asked_seeds(text)
