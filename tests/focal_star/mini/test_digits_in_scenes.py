"""The embedded data set."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from focal_star.data.validation.checks import check_folder
from focal_star.mini.digits_in_scenes import SUFFIX, Recipe, _Sources, write

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


def test_objects_are_as_the_recipe_says(folder):
    content = json.loads((folder / "instances_train.json").read_text())
    heights = [a["bbox"][3] for a in content["annotations"]]
    assert min(heights) >= 12 and max(heights) <= 72
    ratios = [a["bbox"][2] / a["bbox"][3] for a in content["annotations"]]
    assert min(ratios) > 1 / 2.5 - 0.1 and max(ratios) < 2.5 + 0.1
    per_image = np.bincount([a["image_id"] for a in content["annotations"]])[1:]
    assert 0 < per_image.max() <= 8
    assert Image.open(folder / "images" / f"train_00001{SUFFIX}").size == (128, 128)


def test_no_digit_is_in_both_splits():
    sources = _Sources.load()
    train, val = sources.of_split("train"), sources.of_split("val")
    assert not set(train) & set(val)
    assert len(train) + len(val) == len(sources.digits)
    assert set(sources.labels[val]) == set(range(10))
