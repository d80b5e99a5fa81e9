"""Each table of the studies that this project has names what its rows differ in."""

from dataclasses import replace

import pytest

from ablations.identity.prepared import variant
from ablations.study.study import load_study
from focal_star.config import CONFIGS, load_config
from focal_star.training.config_record import config_record
from reports.results.differences import differences
from tests.reports.conftest import StudyFolder
from tests.reports.tuned_folder import add_halves, choose


def add(folder, cells):
    """Add a record with its config and its halves for each cell."""
    for cell in cells:
        cfg = load_config(CONFIGS / folder.study.config, cell.overrides())
        folder.add(cell, 30.0, run={"config": config_record(cfg)})
        add_halves(folder, cell, 30.0, 30.0, whole=cell.seed in folder.study.fresh_seeds)


@pytest.mark.parametrize("name", ["mini", "coco"])
def test_no_table_of_a_study_is_confounded(name, tmp_path):
    study = replace(load_study(name), gpus=1)
    folder = StudyFolder(tmp_path, study)
    kinds = dict.fromkeys(variant(cell.setting) for cell in study.cells())
    weights = {kind: {"path": kind, "sha256": f"{n:064x}"} for n, kind in enumerate(kinds)}
    folder.prepared = replace(folder.prepared, weights=weights)
    folder.describe()
    known = {cell for cell in study.cells() if not cell.setting.pending}
    add(folder, known)
    folder.study = study.with_choices(choose(folder))
    add(folder, set(folder.study.cells()) - known)
    results = folder.load()
    assert results.complete
    found = {}
    for grid in folder.study.grids:
        labels = [f"row {number}" for number in range(len(grid.rows))]
        found[grid.name] = differences(results, grid, labels)
        assert found[grid.name].num_compared == len(results.of_grid(grid))
    assert {table: one.confounds for table, one in found.items() if one.confounds} == {}
    assert {"loss", "α", "γ", "mining"} >= set(found["ohem"].by_word) >= {"loss", "mining"}
    assert "INPUT.MIN_SIZE_TEST" in found["depth_scale"].following
    assert "MODEL.META_ARCHITECTURE" in found["depth_scale"].following
    assert "MODEL.ANCHOR_GENERATOR.SIZES" in found["anchors"].following
    assert found["gamma"].following == ("loss",)
