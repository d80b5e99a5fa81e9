"""The file of the times per image."""

import json

import msgspec
import pytest

from ablations.records import speed as speeds
from ablations.records.speed import BASE, CONTROL, SpeedError, load, load_folder, save
from ablations.study.cell import Setting
from tests.ablations.speeds import MACHINE, attempt, speed_of

FL = Setting.of({"depth": 18}, loss="focal", alpha=0.25, gamma=2)
STAR = Setting.of({"depth": 18}, loss="focal_star", alpha=0.5, gamma=0.125)
DEEP = Setting.of({"depth": 18}, loss="focal", alpha=0.25, gamma=2, depth=34)


def made(**changes):
    return speed_of([FL, STAR, DEEP], lambda a: [8.0 if a.values else 5.0] * 10, **changes)


def test_loss_and_mining_are_no_architecture():
    assert FL.architecture == STAR.architecture == Setting(())
    assert DEEP.architecture.id == "depth34"
    mined = Setting.of(loss="ce", alpha=None, ohem="ohem", batch_size=16, nms_thresh=0.5, scale=88)
    assert mined.architecture.as_dict() == {"scale": 88}
    assert Setting.of(detector="faster_rcnn", depth=34).architecture.id == "faster_rcnn-depth34"
    anchors = Setting.of(loss="focal", alpha=0.25, gamma=2, num_scales=1, num_aspect_ratios=1)
    assert anchors.architecture.id == "scales1-ratios1"


def test_loss_and_architecture_are_all_of_a_setting():
    assert FL.loss_axes.id == DEEP.loss_axes.id == "focal-alpha0.25-gamma2"
    assert Setting.of(detector="faster_rcnn", depth=34).loss_axes == Setting(())
    for setting in (FL, STAR, DEEP):
        parts = setting.loss_axes.as_dict() | setting.architecture.as_dict()
        assert parts == setting.as_dict()


def test_settings_of_one_architecture_share_its_time():
    speed = made()
    assert set(speed.entries) == {BASE, "depth34", CONTROL}
    assert speed.of(FL) is speed.of(STAR) and speed.of(FL).ms_per_image == 5.0
    assert speed.of(DEEP).ratio == pytest.approx(8 / 5)
    assert speed.control.ratio == 1.0
    assert speed.of(Setting.of(loss="ce", alpha=0.5, scale=88)) is None


def test_a_file_is_read_as_it_was_written(tmp_path):
    speed = made()
    path = save(speed, tmp_path / "speed")
    assert load(path) == speed
    assert load_folder(path.parent) == ([speed], [])


def test_each_machine_has_its_file_and_the_newest_counts(tmp_path):
    old, new = made(), made(machine=MACHINE | {"cpus": "8"}, finished="2026-01-01T00:00:00+00:00")
    assert save(old, tmp_path) != save(new, tmp_path)
    assert load_folder(tmp_path)[0] == [new, old]
    save(made(commit="other"), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2, "a machine has one file"


def test_times_are_computed_of_the_rounds():
    rounds = {"a": [4.0, 5.0, 6.0, 5.0, 5.0, 5.0], "b": [8.0, 10.0, 12.0, 10.0, 10.0, 20.0]}
    found = speeds.times(attempt(rounds), "a")
    assert (found["b"].ms_per_image, found["b"].low, found["b"].high) == (10.0, 8.0, 20.0)
    # The ratios within the rounds are 2, but for the last, which is 4.
    assert (found["b"].ratio, found["b"].ratio_low, found["b"].ratio_high) == (2.0, 2.0, 4.0)
    assert found["a"].ratio == 1.0


@pytest.mark.parametrize(("apart", "is_shown"), [(0.24, True), (0.26, False)])
def test_rounds_that_disagree_are_not_shown(apart, is_shown):
    values = [10 - 5 * apart] * 4 + [10.0] * 2 + [10 + 5 * apart] * 4
    assert speeds.times(attempt({"a": values}), "a")["a"].is_shown is is_shown


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 2}, "schema is 2"),
        ({"images": 0}, "images is 0"),
        ({"images": "many"}, "images is 'many'"),
        ({"counted": 1}, "counted is 1, and there are 1 attempts"),
        ({"reference": "deep"}, "entries has no 'deep'"),
        ({"colour": "red"}, "unknown key colour"),
        ({"attempts": []}, "attempts is []"),
        ({"machine": {"cpu": 7}}, "machine"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_name(tmp_path, change, said):
    path = tmp_path / "speed.json"
    path.write_text(json.dumps(msgspec.to_builtins(made()) | change))
    with pytest.raises(SpeedError) as refused:
        load(path)
    assert str(path) in str(refused.value) and said in str(refused.value)
    assert load_folder(tmp_path) == ([], [str(refused.value)])


def edited(change):
    content = msgspec.to_builtins(made())
    change(content)
    return json.dumps(content)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.pop("times"), "times is missing"),
        (lambda c: c["times"]["depth34"].update(ms_per_image=4.0), "times are not those"),
        (lambda c: c["times"].pop("depth34"), "times are not those"),
        (lambda c: c["entries"].pop("depth34"), "have other names"),
        (lambda c: c["attempts"][0]["samples"]["base"].pop(), "not one sample of every entry"),
        (lambda c: c["attempts"][0]["samples"]["base"][3].update(ms=[]), "attempts"),
        (lambda c: c["attempts"][0]["samples"]["base"][3].update(ms=[-1.0]), "attempts"),
    ],
)
def test_parts_that_contradict_each_other_are_refused(tmp_path, change, said):
    path = tmp_path / "speed.json"
    path.write_text(edited(change))
    with pytest.raises(SpeedError, match=said):
        load(path)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000, '{"images": NaN}'])
def test_what_is_no_object_is_refused(tmp_path, text):
    path = tmp_path / "speed.json"
    path.write_text(text)
    with pytest.raises(SpeedError, match=r"speed\.json: "):
        load(path)
