from itertools import product
from pathlib import Path

import pytest

from ablations.storage.layout import Layout
from ablations.study.axes import AXES
from ablations.study.cell import Cell, Setting

FOCAL = {"loss": "focal", "alpha": 0.25, "gamma": 2.0}

OHEM = {"loss": "ce", "alpha": None, "ohem": "ohem", "batch_size": 128, "nms_thresh": 0.5}

TWO_STAGE = {"detector": "faster_rcnn", "depth": 34, "scale": 88}

ANOTHER = {
    "detector": "faster_rcnn", "loss": "focal", "alpha": 0.5, "gamma": 0.125, "beta": 0.5,
    "weight_cap": 5.0, "prior": 0.05, "ohem": "ohem_1_3", "batch_size": 64, "nms_thresh": 0.3,
    "num_scales": 2, "num_aspect_ratios": 1, "depth": 34, "scale": 88, "schedule": 0.3,
}  # fmt: skip
"""Axis -> a value that no study here has as its base."""


@pytest.mark.parametrize(
    "values",
    [
        {"loss": "focal", "gamma": 0},
        {"loss": "focal", "gamma": -0.0},
        {"loss": "focal_star", "gamma": 0.0},
        {"loss": "focal_star", "gamma": 0.0, "weight_cap": 5},
        {"loss": "focal_appendix", "gamma": 1},
        {"loss": "focal_appendix", "gamma": 1.0, "beta": 0},
        {"loss": "focal_appendix", "gamma": 1.0, "beta": 0.0},
        {"loss": "ce", "gamma": 2.0},
        {"loss": "ce", "gamma": 0, "beta": 3, "weight_cap": 2},
        {"gamma": 0, "loss": "focal"},
    ],
)
def test_settings_equal_to_the_cross_entropy_become_it(values):
    expected = Setting.of(loss="ce", alpha=0.5)
    assert Setting.of(alpha=0.5, **values) == expected
    assert expected.as_dict() == {"loss": "ce", "alpha": 0.5}


@pytest.mark.parametrize(
    "values",
    [
        {"loss": "focal", "gamma": 1.0},
        {"loss": "focal_star", "gamma": 1.0},
        {"loss": "focal_appendix", "gamma": 0.5},
        {"loss": "focal_appendix", "gamma": 1.0, "beta": 0.5},
        {"loss": "focal_appendix", "gamma": 2.0, "beta": 1.0},
        {"loss": "focal", "gamma": 0.001},
        {"loss": "focal"},
        OHEM,
        FOCAL | {"prior": 0.1, "depth": 34, "scale": 88},
    ],
)
def test_other_settings_are_unchanged(values):
    assert Setting.of(**values).as_dict() == values


@pytest.mark.parametrize(
    ("base", "values"),
    [
        ({"beta": 1.0}, {"loss": "focal_appendix", "gamma": 1.0}),
        ({}, {"loss": "focal_star", "gamma": 0.0, "weight_cap": 0.5}),
        ({"weight_cap": 0.5}, {"loss": "focal_star", "gamma": 0.0}),
    ],
)
def test_a_scaled_loss_is_not_the_cross_entropy(base, values):
    assert Setting.of(base, **values).as_dict() == values


@pytest.mark.parametrize(
    ("base", "values"),
    [
        ({"beta": 1.0}, {"loss": "focal_appendix", "gamma": 1.0, "beta": 0.0}),
        ({"beta": 1.0}, {"loss": "focal", "gamma": 0.0}),
        ({"weight_cap": 0.5}, {"loss": "focal", "gamma": 0.0}),
        ({"weight_cap": 0.5}, {"loss": "focal_star", "gamma": 0.0, "weight_cap": 1}),
    ],
)
def test_a_base_without_effect_on_the_loss_leaves_the_cross_entropy(base, values):
    assert Setting.of(base, alpha=0.5, **values) == Setting.of(loss="ce", alpha=0.5)


@pytest.mark.parametrize("axis", [axis for axis in AXES if AXES[axis].only_with])
def test_an_axis_without_effect_is_left_out(axis):
    other, effective = AXES[axis].only_with
    names = ("ce", "focal", "focal_star", "focal_appendix", "ohem", "ohem_1_3", None)
    for value in (*names, "retinanet", "faster_rcnn"):
        setting = Setting.of(**{other: value, axis: ANOTHER[axis]})
        assert (axis in setting.as_dict()) == (value in effective), value
    alone = axis in Setting.of(**{axis: ANOTHER[axis]}).as_dict()
    assert alone == (AXES[other].base in effective), (
        "nothing it acts with but what every config has"
    )


def test_another_detector_has_no_loss_and_no_anchors_of_retinanet():
    of_retinanet = OHEM | {"loss": "focal_star", "gamma": 2.0} | {
        axis: ANOTHER[axis]
        for axis in AXES
        if axis not in ("detector", "depth", "scale", "schedule", "loss")
    }  # fmt: skip
    setting = Setting.of(**of_retinanet, **TWO_STAGE)
    assert setting == Setting.of(**TWO_STAGE)
    assert setting.as_dict() == TWO_STAGE
    assert Cell(setting, 1).id == "faster_rcnn-depth34-edge88-seed1"
    assert Setting.of({"depth": 34, "scale": 88}, **TWO_STAGE).id == "faster_rcnn"
    assert Setting.of(**FOCAL, detector="retinanet") == Setting.of(**FOCAL)


def test_study_of_only_the_other_detector():
    base = {"detector": "faster_rcnn"}
    assert Setting.of(base, **FOCAL, **TWO_STAGE).as_dict() == {"depth": 34, "scale": 88}
    assert Setting.of(base, **FOCAL, detector="retinanet").as_dict() == FOCAL | {
        "detector": "retinanet"
    }


@pytest.mark.parametrize("axis", [axis for axis in AXES if AXES[axis].base is not ...])
def test_a_value_that_every_config_has_is_left_out(axis):
    values = OHEM | {"loss": "focal_appendix", "gamma": 2.0} | {axis: AXES[axis].base}
    without = {name: value for name, value in values.items() if name != axis}
    assert Setting.of(**values) == Setting.of(**without)


def test_a_value_that_the_study_has_is_left_out():
    base = {"depth": 18, "scale": 128}
    assert Setting.of(base, **FOCAL, depth=18, scale=128.0) == Setting.of(**FOCAL)
    assert Setting.of(base, **FOCAL, depth=34, scale=128).as_dict() == FOCAL | {"depth": 34}
    # What the study says counts before what every config has.
    assert Setting.of({"prior": 0.1}, **FOCAL, prior=0.01).as_dict() == FOCAL | {"prior": 0.01}
    assert Setting.of({"prior": 0.1}, **FOCAL, prior=0.1).as_dict() == FOCAL


def test_equal_numbers_in_different_forms_are_one_setting():
    assert Setting.of(alpha=0.10, gamma=2, loss="focal") == Setting.of(
        loss="focal", gamma=2.0, alpha=1e-1
    )
    values = Setting.of(**FOCAL | {"alpha": 1, "gamma": 2, "depth": 34.0, "scale": 88}).as_dict()
    assert {axis: type(value) for axis, value in values.items()} == {
        "loss": str, "alpha": float, "gamma": float, "depth": int, "scale": int,
    }  # fmt: skip


def test_no_weighting_is_a_value():
    assert Setting.of(loss="ce", alpha=None) != Setting.of(loss="ce")
    assert Setting.of(loss="ce", alpha=None).id == "ce-alphanone"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"alpha": "0.25"}, "alpha is '0.25', not a number"),
        ({"alpha": True}, "alpha is True, not a number"),
        ({"gamma": float("nan")}, "gamma is nan, not a number"),
        ({"gamma": float("inf")}, "gamma is inf, not a number"),
        ({"alpha": [0.25]}, "alpha is [0.25], not a number"),
        ({"loss": 3}, "loss is 3, not a name"),
        ({"loss": True}, "loss is True, not a name"),
        ({"depth": 18.5}, "depth is 18.5, not a whole number"),
        ({"num_scales": "3"}, "num_scales is '3', not a number"),
    ],
)
def test_a_value_of_another_type_is_refused(values, words):
    with pytest.raises(ValueError) as refused:
        Setting.of(**values)
    assert words in str(refused.value)


def test_all_problems_are_listed_with_the_known_axes():
    with pytest.raises(ValueError) as refused:
        Setting.of(alpha="x", depth=1.5, gama=2, losss="ce")
    for words in ("alpha is 'x'", "depth is 1.5", "unknown axis gama", "unknown axis losss", *AXES):
        assert words in str(refused.value)


def test_ids():
    setting = Setting.of(gamma=2, alpha=0.25, loss="focal")
    assert setting.id == "focal-alpha0.25-gamma2"
    assert Cell(setting, 3).id == "focal-alpha0.25-gamma2-seed3"
    assert Setting.of(loss="ce", alpha=0.10).id == "ce-alpha0.1"
    assert Setting.of(loss="ce", alpha=0.999).id == "ce-alpha0.999"
    assert Setting.of(**OHEM, scale=88).id == "ce-alphanone-ohem-batch128-nms0.5-edge88"


def test_different_settings_have_different_ids():
    choices = {
        "loss": ("ce", "focal", "focal_star", "focal_appendix"),
        "alpha": (None, 0.25),
        "gamma": (0, 1, 0.125, 2),
        "beta": (0, 1, 2),
        "weight_cap": (None, 2, 5),
        "prior": (0.01, 0.1),
        "ohem": (None, "ohem", "ohem_1_3"),
        "batch_size": (2, 128),
        "depth": (2, 18),
    }
    settings = {
        Setting.of(**dict(zip(choices, values, strict=True)))
        for values in product(*choices.values())
    }
    ids = {setting.id for setting in settings}
    assert len(ids) == len(settings) > 100


def test_every_axis_is_in_the_id_and_in_the_config():
    values = OHEM | {"loss": "focal_star", "gamma": 2.0}
    ids = {Setting.of(**values).id}
    for axis in AXES:
        beta = {"loss": "focal_appendix"} if axis == "beta" else {}
        setting = Setting.of(**values | beta | {axis: ANOTHER[axis]})
        if axis == "detector":
            assert setting.id == ANOTHER[axis]
        assert setting.config()[AXES[axis].key] == ANOTHER[axis]
        ids.add(setting.id)
    assert len(ids) == 1 + len(AXES)


def test_overrides_omit_absent_axes():
    assert Cell(Setting.of(loss="ce", alpha=0.5, gamma=7), 1).overrides() == [
        AXES["loss"].key, "ce", AXES["alpha"].key, "0.5", "SEED", "1",
    ]  # fmt: skip
    assert Cell(Setting.of(loss="ce", alpha=None), 2).overrides()[3:] == ["None", "SEED", "2"]


def test_overrides_keep_the_type():
    # A whole number of an axis of floats needs its ".0": a config refuses an int for a float.
    overrides = Cell(Setting.of(loss="focal", gamma=2, scale=88.0), 1).overrides()
    values = dict(zip(overrides[::2], overrides[1::2], strict=True))
    assert (values[AXES["gamma"].key], values[AXES["scale"].key]) == ("2.0", "88")


def test_layout_has_a_folder_for_each_study_and_data_set(tmp_path, monkeypatch):
    assert Layout.of(Path("output"), "mini").root == Path("output/mini")
    assert Layout.of(Path("output"), "mini", Path("data/bccd/")).root == Path("output/mini-bccd")
    (tmp_path / "bccd").mkdir()
    monkeypatch.chdir(tmp_path / "bccd")
    assert Layout.of(Path("output"), "mini", Path(".")).root == Path("output/mini-bccd")


def test_layout_keeps_the_files_of_cells_apart():
    layout = Layout(Path("output/mini"))
    names = [
        layout.record, layout.cell, layout.cell_lock, layout.cell_fingerprint, layout.cell_log,
        layout.cell_metrics, layout.cell_result,
    ]  # fmt: skip
    paths = {name(cell) for name in names for cell in ("a", "b")}
    assert len(paths) == 2 * len(names)
    assert all(layout.root in path.parents for path in paths)
    assert layout.record("ce-alpha0.1-seed1").stem == "ce-alpha0.1-seed1", "a dot is no suffix"


def test_lock_is_outside_the_cells_folder():
    layout = Layout(Path("output/mini"))
    assert layout.cell("a") not in layout.cell_lock("a").parents


def test_user_loss_has_all_axes():
    values = {"loss": "mine", "alpha": 0.25, "gamma": 0.0, "beta": 1.0, "weight_cap": 5.0}
    setting = Setting.of(**values)
    assert setting.as_dict() == values
    assert setting.id == "mine-alpha0.25-gamma0-beta1-cap5"
    assert Setting.of(loss="mine", beta=0.0, weight_cap=None).as_dict() == {"loss": "mine"}
