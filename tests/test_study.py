"""A whole study with real training runs, records and a report."""

import json
import re
from pathlib import Path

import pytest

from ablations.identity.prepared import PrepareError
from ablations.records.record import DIVERGED, DONE, load_folder
from ablations.runner import run as runner
from ablations.storage.layout import Layout
from ablations.study.cell import Setting
from ablations.study.grid import Grid, Row
from ablations.study.study import Study, load_study
from focal_star.config import CONFIGS
from reports.page.render import write_report
from reports.results.differences import differences
from reports.results.load import load

pytestmark = pytest.mark.slow

OPTIONS = """
_BASE_: {base}
SOLVER:
  MAX_ITER: 4
  WARMUP_ITERS: 1
  IMS_PER_BATCH: 4
  CLIP_GRADIENTS:
    ENABLED: False
  BASE_LR: {learning_rate}
PRETRAINING:
  MAX_ITER: 2
  IMS_PER_BATCH: 8
"""


def request(
    folder: Path, data: Path, rows: list[dict], learning_rate: float = 0.003
) -> runner.Request:
    """Four iterations of each row, on ``data``, with an optimizer that cannot rescue a run."""
    config = folder / "tiny.yaml"
    base = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"
    config.write_text(OPTIONS.format(base=base, learning_rate=learning_rate))
    grid = Grid("tiny", "tiny", tuple(rows[0]), tuple(Row(r, Setting.of(**r)) for r in rows))
    study = Study("tiny", "a tiny study", str(config), "tiny", (grid,), (1,))
    layout = Layout.of(folder / "output", study.name, data)
    return runner.Request(study, layout, data, jobs=2, cache=folder / "output" / "cache")


def test_study_is_reported_and_repeats_bit_identically(tiny_data, tmp_path, capfd):
    rows = [
        {"loss": "ce", "alpha": 0.75, "gamma": 0.0},
        {"loss": "focal", "alpha": 0.75, "gamma": 0.0},  # the same cell
        {"loss": "focal_star", "alpha": 0.25, "gamma": 0.5},
    ]
    first = request(tmp_path, tiny_data, rows)
    assert runner.run(first) == 0
    records, refused = load_folder(first.layout.records)
    assert refused == [] and {r.status for r in records.values()} == {DONE}
    assert set(records) == {"ce-alpha0.75-seed1", "focal_star-alpha0.25-gamma0.5-seed1"}

    results = load(first.layout, first.study)
    found = differences(results, first.study.grids[0], ["CE", "FL", "FL*"])
    assert (found.num_compared, found.confounds) == (3, ())
    assert found.named == ("loss", "α", "γ")
    write_report(results)
    page = (first.layout.report / "index.html").read_text()
    assert "tiny" in page and not re.search(r'(src|href)="https?://(?!arxiv)', page)

    before = {p: p.stat().st_mtime_ns for p in first.layout.records.iterdir()}
    assert runner.run(first) == 0
    assert {p: p.stat().st_mtime_ns for p in first.layout.records.iterdir()} == before
    assert "2 done, 0 to run" in capfd.readouterr().out

    (tmp_path / "again").mkdir()
    again = request(tmp_path / "again", tiny_data, rows)
    assert runner.run(again) == 0
    repeated, _ = load_folder(again.layout.records)
    for cell, record in records.items():
        assert json.dumps(repeated[cell].result) == json.dumps(record.result)
        # The prepared weights repeat too, so that the whole fingerprint does.
        assert repeated[cell].fingerprint == record.fingerprint


def test_diverged_cell_is_a_row_and_the_others_continue(tiny_data, tmp_path):
    rows = [
        {"loss": "focal", "alpha": 0.25, "gamma": 2.0},
        {"loss": "focal_star", "alpha": 0.25, "gamma": 2.0},
    ]
    # A learning rate at which any loss leaves the numbers within four iterations.
    asked = request(tmp_path, tiny_data, rows, learning_rate=1e30)
    assert runner.run(asked) == 0
    records, _ = load_folder(asked.layout.records)
    for record in records.values():
        assert record.status == DIVERGED
        assert record.result["metrics"]["AP"] == 0.0
        assert 0 < record.result["error_iteration"] < 4
    results = load(asked.layout, asked.study)
    assert results.complete
    write_report(results)
    assert "diverged at iteration" in (asked.layout.report / "report.md").read_text()


def test_study_with_another_detector(tiny_data, tmp_path, capfd):
    rows = [
        {"detector": "retinanet", "loss": "focal", "alpha": 0.25, "gamma": 2.0},
        {"detector": "faster_rcnn"},
    ]
    asked = request(tmp_path, tiny_data, rows)
    assert runner.run(asked) == 0
    records, refused = load_folder(asked.layout.records)
    assert refused == [] and {record.status for record in records.values()} == {DONE}
    record = records["faster_rcnn-seed1"]
    assert record.setting == {"detector": "faster_rcnn"}
    assert "MODEL.DETECTOR faster_rcnn" in record.command
    assert ("loss_rpn_cls" in record.result["curves"]) and record.result["first_loss"]["measured"]
    results = load(asked.layout, asked.study)
    assert results.complete
    found = differences(results, asked.study.grids[0], ["RetinaNet", "Faster R-CNN"])
    assert (found.num_compared, found.confounds) == (2, ())
    assert "MODEL.META_ARCHITECTURE" in found.following
    write_report(results)
    assert "Faster R-CNN" in (asked.layout.report / "report.md").read_text()
    capfd.readouterr()
    assert runner.run(asked) == 0
    assert "0 to run" in capfd.readouterr().out


@pytest.mark.parametrize("name", ["bccd", "coco_ccby"])
def test_real_data(name, tmp_path):
    data = Path(__file__).resolve().parents[2] / "shared" / "data" / name
    if not data.is_dir():
        pytest.skip(f"the data set {name} is not beside this checkout")
    asked = request(tmp_path, data, [{"loss": "focal_star", "alpha": 0.25, "gamma": 0.5}])
    assert runner.run(asked) == 0
    (record,) = load_folder(asked.layout.records)[0].values()
    assert record.status == DONE
    assert record.dataset["name"] == name
    write_report(load(asked.layout, asked.study))


def test_bad_data_is_refused_before_anything_is_trained(tiny_data, tmp_path):
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "images").symlink_to(tiny_data / "images")
    for split in ("train", "val"):
        content = json.loads((tiny_data / f"instances_{split}.json").read_text())
        content["annotations"][0]["bbox"] = [0, 0, 500, 10]
        content["annotations"][1]["category_id"] = 99
        (bad / f"instances_{split}.json").write_text(json.dumps(content))
    asked = request(tmp_path, bad, [{"loss": "ce", "alpha": 0.5}])
    with pytest.raises(PrepareError) as error:
        runner.run(asked)
    for words in ("box-outside", "unknown-category", "99"):
        assert words in str(error.value)
    assert "Traceback" not in str(error.value)
    assert not list(asked.layout.root.rglob("metrics.json"))


def test_the_mini_study_has_each_cell_once():
    """Tables share cells: (b), (c) and (e) the default cell; (a) and (b) the alpha-CE."""
    study = load_study("mini", schedule=1)
    cells = study.cells()
    assert len(cells) == len(set(cells)) < len(study.requested())
    shown = {
        cell_id: [
            grid.name for grid in study.grids if cell_id in {row.setting.id for row in grid.rows}
        ]
        for cell_id in ("focal-alpha0.25-gamma2", "ce-alpha0.75", "focal-alpha0.25-gamma2-depth34")
    }
    assert shown["focal-alpha0.25-gamma2"] == ["gamma", "anchors", "depth_scale", "tune_fl"]
    assert shown["ce-alpha0.75"] == ["alpha", "gamma", "tune_ce"]
    assert shown["focal-alpha0.25-gamma2-depth34"] == ["ohem", "depth_scale"]
