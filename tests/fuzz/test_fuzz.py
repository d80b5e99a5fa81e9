"""Each reader gets a few thousand cases; `make soak` has a million."""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz import __main__ as soak
from tests.fuzz.fuzzing import FuzzError, fuzz
from tests.fuzz.readers import READERS, Reader

CASES = 2000
BY_HYPOTHESIS = 200


@pytest.fixture(scope="module", params=READERS)
def reader(request, tmp_path_factory) -> Reader:
    return READERS[request.param](tmp_path_factory.mktemp("fuzz") / request.param)


def test_reader_accepts_or_refuses_as_documented(reader):
    count = fuzz(reader, CASES, seed=1)
    assert count.cases == CASES
    assert 0.02 < count.accepted / CASES < 0.5, "the cases are neither all bad nor all good"


def test_hypothesis_finds_no_other_behaviour(reader):
    tried = []

    @seed(1)
    @settings(
        max_examples=BY_HYPOTHESIS, database=None, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.randoms(use_true_random=False))
    def run(generator):
        tried.append(reader.accepts(reader.cases(generator)))

    run()
    assert len(tried) >= BY_HYPOTHESIS


def test_same_seed_gives_the_same_cases_and_another_seed_others(reader):
    def some(number: int) -> list:
        generator = random.Random(number)
        return [reader.cases(generator) for _ in range(20)]

    assert some(1) == some(1) != some(2)


def brittle(folder: Path) -> Reader:
    """A reader that fails occasionally."""

    def accepts(case: int) -> bool:
        if case == 7:
            raise KeyError("seven")
        return True

    return Reader("brittle", lambda generator: generator.randrange(50), accepts)


def test_failing_reader_is_reported_with_its_case(tmp_path):
    with pytest.raises(FuzzError, match=r"brittle, case \d+ of seed 3: KeyError: 'seven'\n7"):
        fuzz(brittle(tmp_path), 1000, seed=3)


def test_soak_reports_progress_and_failures(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(soak.READERS, "brittle", brittle)
    flags = ["--cases", "400", "--folder", str(tmp_path), "--readers"]
    assert soak.main([*flags, "record"]) == 0
    said = capsys.readouterr().out
    assert "record: 400 cases, " in said and "no reader failed" in said
    assert soak.main([*flags, "record", "brittle"]) == 1
    ended = capsys.readouterr()
    assert "failed: brittle" in ended.out and "KeyError: 'seven'" in ended.err
