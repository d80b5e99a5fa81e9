"""A small soak test (see soak.py), and its detection of errors."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from ablations.records.record import save
from ablations.storage.layout import Layout
from tests.soak import Soak

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "flags",
    [
        ["--kills", "8", "--cells", "4", "--longest", "1.5", "--stand-ins"],
        ["--kills", "4", "--cells", "2", "--iterations", "20", "--longest", "15"],
    ],
    ids=["stand-ins", "real"],
)
def test_soak_loses_nothing(flags):
    ended = subprocess.run(
        [sys.executable, "tests/soak.py", *flags], cwd=ROOT, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{flags[1]} kills in " in ended.stdout and "nothing was lost" in ended.stdout


@pytest.fixture(scope="module")
def soak(tmp_path_factory):
    """A study that was run twice, undisturbed both times."""
    root = tmp_path_factory.mktemp("soak") / "checkout"
    soak = Soak(root, num_cells=2, longest=1.0, random=random.Random(1))
    soak.make_checkout(iterations=4)
    for output in ("alone", "round1"):
        soak.run_alone(output)
        soak.check(output, "alone")
    assert soak.faults == []
    return soak


@pytest.fixture
def faults(soak):
    """A function that returns the differences of the second study as one text."""

    def faults():
        soak.check("round1", "alone")
        return " ".join(soak.faults)

    yield faults
    soak.faults.clear()


@pytest.fixture
def recorded(soak):
    """A record of the second study and its file, put back afterwards."""
    record = next(iter(soak.records("round1").values()))
    path = Layout.of(soak.root / "round1", "soak").record(record.cell)
    yield record, path
    save(record, path)


def test_changed_result_is_detected(faults, recorded):
    record, path = recorded
    metrics = dict.fromkeys(record.result["metrics"], 99.0)
    save(replace(record, result=record.result | {"metrics": metrics}), path)
    found = faults()
    assert f"round1: {record.cell}: result is " in found and "tables differ" in found


def test_different_times_are_allowed(faults, recorded):
    record, path = recorded
    save(replace(record, run={"wall_seconds": 99.0}), path)
    assert faults() == ""


@pytest.mark.parametrize("text", [None, "{"])
def test_lost_cell_is_detected(faults, recorded, text):
    record, path = recorded
    path.unlink()
    if text:
        path.write_text(text)
    found = faults()
    assert f"round1: {record.cell} is lost" in found
    assert ("cannot be read as JSON" in found) == (text is not None)


def test_cell_trained_twice_is_detected(soak, faults, recorded):
    cell = recorded[0].cell
    (soak.root / "ended.txt").write_text(f"{cell}\n{cell}\n")
    assert faults() == f"round1: {cell} was trained to its end 2 times"


def test_leftover_process_is_detected(soak, faults, monkeypatch):
    monkeypatch.setattr("tests.soak.ENDED_WITHIN", 0.5)
    left = subprocess.Popen(["sleep", "600"], cwd=soak.root)
    try:
        assert faults() == f"round1: processes left behind: [{left.pid}]"
    finally:
        left.kill()
        left.wait()


def test_endless_study_is_detected(soak, faults):
    (soak.root / "actions.json").write_text('{"prepare": "refuse"}')
    assert soak.run_with_kills("round2", kills=0) == 0
    (soak.root / "actions.json").unlink()
    assert "round2: the study does not end" in soak.faults[0] and "2 problems" in soak.faults[0]
