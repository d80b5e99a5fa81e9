from pathlib import Path

import pytest
from yacs.config import CfgNode

from ablations import cell as cell_module
from ablations.cell import AXES, Cell, Layout, Setting

COMMON = {"config": "c0", "dataset": "da", "weights": "3e"}


@pytest.mark.parametrize(
    "values",
    [
        {"loss": "focal", "gamma": 0},
        {"loss": "focal_star", "gamma": 0.0},
        {"loss": "focal_appendix", "gamma": 1},
        {"loss": "ce", "gamma": 2.0},
        {"loss": "ce", "gamma": 0},
        {"gamma": 0, "loss": "focal"},
    ],
)
def test_what_means_the_cross_entropy_is_the_cross_entropy(values):
    expected = Setting.of(loss="ce", alpha=0.5)
    assert Setting.of(alpha=0.5, **values) == expected
    assert "gamma" not in expected.as_dict()


@pytest.mark.parametrize(
    "values",
    [
        {"loss": "focal", "gamma": 1},
        {"loss": "focal_star", "gamma": 1},
        {"loss": "focal_appendix", "gamma": 0.5},
        {"loss": "focal_appendix", "gamma": 2},
        {"loss": "focal", "gamma": 0.001},
        {"loss": "focal"},
        {"gamma": 0},
    ],
)
def test_other_settings_stay_what_they_are(values):
    assert Setting.of(**values).as_dict() == values


def test_the_same_number_written_otherwise_is_the_same_setting():
    assert Setting.of(alpha=0.10, gamma=2) == Setting.of(gamma=2.0, alpha=0.1)
    assert Setting.of(alpha=0.10, gamma=2).id == Setting.of(gamma=2.0, alpha=0.1).id
    values = Setting.of(alpha=1, gamma=2).as_dict().values()
    assert [type(value) for value in values] == [float, float]


def test_unknown_axes_are_all_named_with_the_known_ones():
    with pytest.raises(ValueError) as refused:
        Setting.of(alpha=0.5, gama=2, losss="ce")
    assert "gama, losss" in str(refused.value)
    assert all(axis in str(refused.value) for axis in AXES)


def test_ids():
    setting = Setting.of(gamma=2, alpha=0.25, loss="focal")
    assert setting.id == "focal-alpha0.25-gamma2"
    assert Cell(setting, 3).id == "focal-alpha0.25-gamma2-seed3"
    assert Setting.of(loss="ce", alpha=0.10).id == "ce-alpha0.1"
    assert Setting.of(loss="ce", alpha=0.999).id == "ce-alpha0.999"


def test_overrides_are_what_the_config_takes():
    cell = Cell(Setting.of(loss="focal", alpha=1, gamma=2), 3)
    cfg = CfgNode(
        {
            "MODEL": {
                "FOCAL_STAR": {"LOSS": "ce"},
                "RETINANET": {"FOCAL_LOSS_ALPHA": 0.25, "FOCAL_LOSS_GAMMA": 1.5},
            },
            "SEED": -1,
        }
    )
    # A whole number needs its ".0": yacs refuses an int for a float.
    with pytest.raises(ValueError, match="FOCAL_LOSS_GAMMA"):
        cfg.merge_from_list([AXES["gamma"], "2"])
    cfg.merge_from_list(cell.overrides())
    assert cfg.MODEL.FOCAL_STAR.LOSS == "focal"
    assert (cfg.MODEL.RETINANET.FOCAL_LOSS_ALPHA, cfg.MODEL.RETINANET.FOCAL_LOSS_GAMMA) == (1, 2)
    assert cfg.SEED == 3


def test_overrides_say_nothing_of_an_axis_that_the_setting_leaves_out():
    assert Cell(Setting.of(loss="ce", alpha=0.5, gamma=7), 1).overrides() == [
        AXES["loss"], "ce", AXES["alpha"], "0.5", "SEED", "1",
    ]  # fmt: skip


def test_fingerprint_is_the_same_for_what_is_the_same():
    first = Cell(Setting.of(loss="ce", alpha=0.10), 1).fingerprint(COMMON)
    other = Cell(Setting.of(gamma=0, alpha=0.1, loss="focal"), 1)
    assert other.fingerprint(dict(reversed(COMMON.items()))) == first


def test_fingerprint_changes_with_each_thing_that_determines_the_result(monkeypatch):
    cell = Cell(Setting.of(loss="focal", alpha=0.25, gamma=2), 1)
    fingerprints = [
        cell.fingerprint(COMMON),
        Cell(cell.setting, 2).fingerprint(COMMON),
        *(cell.fingerprint(COMMON | {name: "other"}) for name in COMMON),
        *(
            Cell(Setting.of(**cell.setting.as_dict() | change), 1).fingerprint(COMMON)
            for change in ({"loss": "focal_star"}, {"alpha": 0.5}, {"gamma": 1})
        ),
    ]
    monkeypatch.setattr(cell_module, "NUMERICS", cell_module.NUMERICS + 1)
    fingerprints.append(cell.fingerprint(COMMON))
    assert len(set(fingerprints)) == len(fingerprints)


def test_layout_has_a_folder_for_each_study_and_data_set(tmp_path, monkeypatch):
    assert Layout.of(Path("output"), "mini").root == Path("output/mini")
    assert Layout.of(Path("output"), "mini", Path("data/bccd/")).root == Path("output/mini-bccd")
    (tmp_path / "bccd").mkdir()
    monkeypatch.chdir(tmp_path / "bccd")
    assert Layout.of(Path("output"), "mini", Path(".")).root == Path("output/mini-bccd")


def test_layout_keeps_the_files_of_cells_apart():
    layout = Layout(Path("output/mini"))
    for name in (layout.record, layout.cell, layout.cell_log, layout.cell_result):
        assert name("a") != name("b")
        assert layout.root in name("a").parents
    assert layout.record("ce-alpha0.1-seed1").stem == "ce-alpha0.1-seed1", "a dot is no suffix"
