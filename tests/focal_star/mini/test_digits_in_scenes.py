"""The embedded data set."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from focal_star.data.validation.checks import check_folder
from focal_star.mini import digits_in_scenes
from focal_star.mini.digits_in_scenes import SUFFIX, Recipe, _distractor, _Sources, write

SMALL = Recipe(num_train=30, num_val=10)


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("digits") / "digits"
    write(folder, SMALL)
    return folder


def test_it_passes_the_check_of_own_data(folder):
    assert check_folder(folder).problems == []


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(folder, tmp_path):
    write(tmp_path / "same", SMALL)
    write(tmp_path / "other", Recipe(num_train=30, num_val=10, seed=1))
    assert hashes(tmp_path / "same") == hashes(folder)
    assert hashes(tmp_path / "other")[f"images/val_00001{SUFFIX}"] not in hashes(folder).values()


def test_it_is_written_once_and_again_for_another_recipe(tmp_path):
    target = tmp_path / "digits"
    write(target, Recipe(num_train=2, num_val=1))
    made = (target / "recipe.json").stat().st_mtime_ns
    write(target, Recipe(num_train=2, num_val=1))
    assert (target / "recipe.json").stat().st_mtime_ns == made
    write(target, Recipe(num_train=3, num_val=1))
    assert len(list((target / "images").iterdir())) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["digits"]  # nothing temporary is left


def test_two_processes_may_write_it_at_the_same_time(tmp_path, monkeypatch):
    target, others = tmp_path / "digits", []

    def write_another_first(split, num_images, *args):
        if not others:
            others.append(split)
            write(target, Recipe(num_train=2, num_val=1))
        return compose(split, num_images, *args)

    compose = digits_in_scenes._compose_split
    monkeypatch.setattr(digits_in_scenes, "_compose_split", write_another_first)
    monkeypatch.setattr(digits_in_scenes.shutil, "rmtree", lambda *_, **__: None)  # it comes later
    write(target, Recipe(num_train=2, num_val=1))
    assert len(list((target / "images").iterdir())) == 3


def test_objects_are_as_the_recipe_says(folder):
    content = json.loads((folder / "instances_train.json").read_text())
    heights = [a["bbox"][3] for a in content["annotations"]]
    assert min(heights) >= 24 and max(heights) <= 110
    ratios = [a["bbox"][2] / a["bbox"][3] for a in content["annotations"]]
    assert min(ratios) > 1 / 4 - 0.1 and max(ratios) < 4 + 0.1
    per_image = np.bincount([a["image_id"] for a in content["annotations"]], minlength=31)[1:]
    assert set(per_image) == {0, 1, 2}
    assert Image.open(folder / "images" / f"train_00001{SUFFIX}").size == (128, 128)


def test_only_objects_have_boxes(tmp_path):
    """The recipe without objects has the distractors of the recipe, and no annotation."""
    write(tmp_path / "none", Recipe(num_train=4, num_val=1, num_objects=(0, 0)))
    write(
        tmp_path / "empty",
        Recipe(num_train=4, num_val=1, num_objects=(0, 0), num_distractors=(0, 0)),
    )
    content = json.loads((tmp_path / "none" / "instances_train.json").read_text())
    assert len(content["images"]) == 4 and content["annotations"] == []
    assert hashes(tmp_path / "none") != hashes(tmp_path / "empty")


@pytest.mark.parametrize("seed", range(20))
def test_distractors_have_the_form_of_a_scan(seed):
    sources = _Sources.load()
    ink = _distractor(sources, sources.of_split("train"), np.random.default_rng(seed))
    assert ink.ndim == 2 and min(ink.shape) > 0 and ink.max() > 0
    assert ink.min() >= 0 and ink.max() <= 1 + 1e-6
    assert not any(np.array_equal(ink, digit) for digit in sources.digits)


def test_no_digit_is_in_both_splits():
    sources = _Sources.load()
    train, val = sources.of_split("train"), sources.of_split("val")
    assert not set(train) & set(val)
    assert len(train) + len(val) == len(sources.digits)
    assert set(sources.labels[val]) == set(range(10))
