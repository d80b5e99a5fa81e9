"""Pascal VOC 2007 and 2012 under one name, with all its parts or with an error that names them."""

import shutil

import pytest
from detectron2.data import DatasetCatalog

from focal_star.config import CONFIGS, load_config
from focal_star.data import voc_2007_2012
from focal_star.data.layouts.problems import DatasetError
from focal_star.data.registration import register_datasets
from tests.published_layouts import write_voc

TRAIN = ("voc_2007_2012_train",)


@pytest.fixture
def root(tmp_path, monkeypatch):
    folder = tmp_path / "datasets"
    write_voc(folder)
    monkeypatch.setenv("DETECTRON2_DATASETS", str(folder))
    return folder


def test_it_trains_on_both_years_and_tests_on_2007(root, tmp_path):
    config = CONFIGS / "voc" / "retinanet_R_50_FPN.yaml"
    cfg = load_config(config, ["CACHE_DIR", str(tmp_path / "cache")])
    register_datasets(cfg)
    assert cfg.DATASETS.TRAIN == TRAIN and cfg.DATASETS.TEST == ("voc_2007_2012_val",)
    assert cfg.MODEL.RETINANET.NUM_CLASSES == 20
    train, val = (DatasetCatalog.get(name) for name in (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST))
    years = [record["file_name"].split("/")[-3] for record in train]
    assert years == ["VOC2007"] * 10 + ["VOC2012"] * 10
    assert all("VOC2007/JPEGImages/test_" in record["file_name"] for record in val)


def test_it_may_be_in_vocdevkit(root):
    (root / "VOCdevkit").mkdir()
    for year in voc_2007_2012.YEARS:
        shutil.move(root / year, root / "VOCdevkit" / year)
    assert voc_2007_2012.folder_of(TRAIN) == root / "VOCdevkit"


def test_other_names_are_not_its():
    assert voc_2007_2012.folder_of(("coco_2017_train",)) is None
    assert voc_2007_2012.folder_of(()) is None


@pytest.mark.parametrize(
    "missing", ["VOC2012", "VOC2007/Annotations", "VOC2007/ImageSets/Main/test.txt"]
)
def test_missing_parts_are_named(root, missing):
    path = root / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(DatasetError, match=f"there is no .*{missing}.*DETECTRON2_DATASETS"):
        voc_2007_2012.folder_of(TRAIN)


def test_another_year_would_be_trained_on(root):
    shutil.copytree(root / "VOC2012", root / "VOC2010")
    with pytest.raises(DatasetError, match="also has VOC2010"):
        voc_2007_2012.folder_of(TRAIN)


def test_nothing_is_there(tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "nowhere"))
    with pytest.raises(DatasetError, match="there is no .*nowhere/VOC2007"):
        voc_2007_2012.folder_of(TRAIN)
