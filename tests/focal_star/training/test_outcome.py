"""What a record says of the environment of its training."""

import json
import sys

import pytest

from focal_star.training import outcome


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (json.dumps({"displaced": {}}), "as locked"),
        (json.dumps({"displaced": {"torch": ["2.15.0", "2.14.1"], "six": ["2", "1"]}}),
         "torch 2.14.1 instead of 2.15.0, six 1 instead of 2"),
        ('{"displaced"', ""),
        ("[]", ""),
        ('{"displaced": {"torch": "2.15.0"}}', ""),
        (None, ""),
    ],
)  # fmt: skip
def test_the_versions_that_are_not_the_locks_are_named(tmp_path, monkeypatch, content, said):
    if content is not None:
        (tmp_path / "focal_star_setup.json").write_text(content)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert outcome._lock() == said
