"""A part of a data set: the same on every machine, with each category's share."""

import json
import random
from pathlib import Path

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances

from focal_star.config import CONFIGS, load_config
from focal_star.data import subset
from focal_star.data.layouts.coco import splits_of
from focal_star.data.registration import register_datasets
from focal_star.errors import ConfigError
from focal_star.tools import prepare

COCO = CONFIGS / "coco" / "retinanet_FPN_1x.yaml"


def long_tailed(num_images, num_categories=30, seed=0):
    """Image id -> categories, of which the most frequent is in half of the images."""
    draw = random.Random(seed)
    odds = [0.5 * 0.8**number for number in range(num_categories)]
    return {
        7 * number: [c for c, odd in enumerate(odds) if draw.random() < odd]
        for number in range(num_images)
    }


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_each_category_keeps_its_share(share):
    images = long_tailed(6000)
    taken = subset.chosen(images, share)
    assert len(taken) == pytest.approx(share * len(images), rel=0.05)
    for category in range(30):
        total = sum(category in found for found in images.values())
        part = sum(category in images[image] for image in taken)
        # At least its share, so that no rare category is lost, and hardly more.
        assert share * total - 1 < part <= share * total + 3, category


def test_the_choice_depends_on_the_ids_alone():
    images = long_tailed(500)
    taken = subset.chosen(images, 0.1)
    shuffled = list(images.items())
    random.Random(1).shuffle(shuffled)
    assert subset.chosen(dict(shuffled), 0.1) == taken == sorted(taken)
    other_ids = {image + 1: found for image, found in images.items()}
    assert [image - 1 for image in subset.chosen(other_ids, 0.1)] != taken


def test_images_without_objects_keep_their_share():
    images = {number: [] for number in range(100)} | {number: ["cat"] for number in range(100, 140)}
    taken = subset.chosen(images, 0.25)
    assert sum(image < 100 for image in taken) == 25
    assert sum(image >= 100 for image in taken) == 10


def test_one_of_few_is_taken():
    assert len(subset.chosen({1: ["a"], 2: ["a"], 3: ["a"]}, 0.1)) == 1
    assert subset.chosen({1: ["a"], 2: ["b"]}, 1) == [1, 2]
    assert subset.chosen({}, 0.5) == []


def test_the_hash_is_that_of_the_sorted_list():
    # printf '2\n10\n' | sha256sum
    digest = "84fa61ffd2392fe852a5dc8cd5a7cc37bad6b57d7f12de37ecbd042bf75ac746"
    assert subset.ids_sha256([10, 2]) == subset.ids_sha256([2, 10]) == digest


@pytest.fixture
def registered(tiny_data):
    """The tiny set, known to Detectron2 as own_2017_train and own_2017_val."""
    for split in splits_of(tiny_data):
        files = str(split.annotation_file), str(split.image_root)
        register_coco_instances(f"own_2017_{split.name}", {}, *files)
    yield tiny_data
    for name in ("own_2017_train", "own_2017_25pct_train", "own_2017_val"):
        if name in DatasetCatalog:
            DatasetCatalog.remove(name)
            MetadataCatalog.remove(name)


def config(tmp_path, *pairs):
    names = ["DATASETS.TRAIN", "['own_2017_train']", "DATASETS.TEST", "['own_2017_val']"]
    cache = ["CACHE_DIR", str(tmp_path / "cache"), "DATASETS.SUBSET", "0.25"]
    return load_config(COCO, [*names, *cache, *pairs])


def test_a_part_is_registered_and_described(registered, tmp_path):
    cfg = config(tmp_path)
    assert register_datasets(cfg) is None
    assert cfg.DATASETS.TRAIN == ("own_2017_25pct_train",)
    number = len(DatasetCatalog.get("own_2017_25pct_train"))
    assert 24 // 4 <= number < 24 // 2  # at least a quarter of ten rare categories
    found = prepare.prepare_variants({"": config(tmp_path)})["dataset"]
    about = found["train"]["subset"]
    ids = json.loads((registered / "instances_train.json").read_text())["images"]
    assert (about["name"], about["share"], about["of"]) == ("own_2017_train", 0.25, len(ids))
    part = json.loads(Path(found["train"]["annotation_file"]).read_text())
    assert about["image_ids_sha256"] == subset.ids_sha256(i["id"] for i in part["images"])
    assert found["name"] == "own_2017_25pct" and found["train"]["num_images"] == number
    # Another part is another data set.
    whole = prepare.prepare_variants({"": config(tmp_path, "DATASETS.SUBSET", "1.0")})["dataset"]
    assert whole["sha256"] != found["sha256"] and "subset" not in whole["train"]


def test_a_written_config_names_the_part_itself(registered, tmp_path):
    cfg = config(tmp_path)
    register_datasets(cfg)
    DatasetCatalog.remove("own_2017_25pct_train")
    MetadataCatalog.remove("own_2017_25pct_train")
    again = config(tmp_path, "DATASETS.TRAIN", "['own_2017_25pct_train']")
    register_datasets(again)
    assert again.DATASETS.TRAIN == cfg.DATASETS.TRAIN
    assert DatasetCatalog.get("own_2017_25pct_train")


def test_the_part_is_written_once(registered, tmp_path, monkeypatch):
    register_datasets(config(tmp_path))
    monkeypatch.setattr(subset, "of_content", None)
    register_datasets(config(tmp_path))


def test_a_folder_has_no_part(registered, tmp_path):
    cfg = config(tmp_path, "DATASETS.FOLDER", str(registered))
    with pytest.raises(ConfigError, match="only of data sets that Detectron2 knows by name"):
        register_datasets(cfg)


@pytest.mark.parametrize("names", ["['own_2017_train', 'own_2017_val']", "['nothing_train']"])
def test_a_part_of_what_is_not_one_coco_split_is_refused(registered, tmp_path, names):
    cfg = config(tmp_path, "DATASETS.TRAIN", names, "DATASETS.CHECK", "False")
    with pytest.raises(ConfigError, match="one data set in COCO's format"):
        register_datasets(cfg)


@pytest.mark.parametrize("share", ["0", "-0.1", "1.5", "None", "'a'"])
def test_shares_out_of_range_are_refused(share):
    with pytest.raises(ConfigError, match="DATASETS.SUBSET"):
        load_config(COCO, ["DATASETS.SUBSET", share])
