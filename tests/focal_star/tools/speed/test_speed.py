"""The processes that time detectors, with real ones."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from focal_star.config import load_config
from focal_star.data.registration import register_datasets
from focal_star.evaluation.rounds import WARMUP_IMAGES
from tests.focal_star.conftest import MINI

ROOT = Path(__file__).parents[4]


@pytest.fixture
def detectors(tiny_overrides, save_busy_detector, tmp_path):
    """A small detector, a larger one, and a checkpoint that is broken."""
    paths = []
    for edge in ("64", "192"):
        cfg = load_config(MINI, [*tiny_overrides, "INPUT.SHORT_EDGE", edge])
        register_datasets(cfg)
        paths.append(save_busy_detector(tmp_path / edge, cfg))
    broken = tmp_path / "broken" / "model_final.pth"
    broken.parent.mkdir()
    broken.write_bytes(b"no weights")
    broken.with_name("config.yaml").write_text(paths[0].with_name("config.yaml").read_text())
    return [*paths, broken]


@pytest.mark.slow
def test_it_answers_each_line_and_ends_with_its_input(detectors):
    lines = "0 3\n1 20\n0 3\n2 1\n"
    ended = subprocess.run(
        [sys.executable, "-m", "focal_star.tools.speed", *map(str, detectors)],
        cwd=ROOT,
        input=lines,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    answers = [json.loads(line) for line in ended.stdout.splitlines()]
    assert answers[:2] == [{"entry": 0}, {"entry": 1}]
    assert answers[2]["entry"] == 2 and "model_final.pth" in answers[2]["error"]
    first, large, again, dead = answers[3:]
    assert [one["entry"] for one in (first, large, again)] == [0, 1, 0]
    assert [len(one["ms"]) for one in (first, large, again)] == [3, 20, 3], "it repeats images"
    assert min(first["ms"] + large["ms"] + again["ms"]) > 0
    assert large["threads"] == 1 and len(large["affinity"]) == 1 and large["device"] == "cpu"
    assert 0 < large["cpu_ms"] <= 1.5 * sum(large["ms"])
    assert dead["entry"] == 2 and dead["error"] == answers[2]["error"]


def test_the_runner_and_the_tool_agree_on_the_record():
    from ablations.records.speed import Sample
    from ablations.runner import speed as stage
    from focal_star.evaluation.rounds import Sample as Measured

    assert stage.WARMUP_IMAGES == WARMUP_IMAGES
    assert set(Sample.__struct_fields__) == set(Measured.__dataclass_fields__)
