"""Training runs on data of every kind at once: sparse ids, crowds, images of all modes, VOC."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from focal_star.config import load_config
from focal_star.data.layouts.problems import DatasetError
from focal_star.data.validation.checks import check_folder
from focal_star.training import engine

ROOT = Path(__file__).parents[3]
MINI = ROOT / "projects/focal_star/configs/mini/retinanet_R_18_FPN.yaml"
SIDE = 96  # px


def save(path: Path, mode: str, seed: int) -> None:
    """An image of a mode of Pillow, or of one of these words."""
    noise = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 4), dtype=np.uint8)
    if mode == "I;16":
        Image.fromarray(noise[..., 0].astype(np.uint16) * 257).save(path)
    elif mode == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(noise[: SIDE // 2, :, :3]).save(path, exif=exif)
    else:
        Image.fromarray(noise).convert("RGB").convert(mode).save(path)


MODES = {"L": "png", "I;16": "png", "P": "png", "CMYK": "jpg", "1": "png", "RGBA": "png"}
MODES |= {"LA": "png", "turned": "jpg", "RGB": "jpg"}


@pytest.fixture
def any_data(tmp_path: Path) -> Path:
    """One image of each mode with an object at its border, one without objects, one of a crowd."""
    folder = tmp_path / "any"
    (folder / "images").mkdir(parents=True)
    for number, split in enumerate(("train", "val")):
        images, annotations = [], []
        for position, (mode, ending) in enumerate([*MODES.items(), ("RGB", "png"), ("RGB", "bmp")]):
            name = f"{split}_{position}.{ending}"
            save(folder / "images" / name, mode, 100 * number + position)
            width = SIDE // 2 if mode == "turned" else SIDE
            image_id = 7 * position + 3
            images.append({"id": image_id, "file_name": name, "width": width, "height": SIDE})
            if ending != "png" or mode != "RGB":  # that one has no object
                one = {"id": position + 1, "image_id": image_id, "bbox": [0, 0, 40, SIDE]}
                category = {"category_id": 900 if position % 2 else 7}
                annotations.append(one | category | {"iscrowd": int(ending == "bmp")})
        categories = [{"id": 900, "name": "b"}, {"id": 7, "name": "a"}, {"id": 31, "name": "none"}]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (folder / f"instances_{split}.json").write_text(json.dumps(content))
    assert check_folder(folder).problems == []
    return folder


def trained(folder: Path, overrides: list[str], *pairs: str) -> dict:
    cfg = load_config(MINI, [*overrides, "DATASETS.FOLDER", str(folder), *pairs])
    engine.prepare_data_and_weights(cfg)
    return engine.train(cfg)


SHORT = ["SOLVER.MAX_ITER", "3", "PRETRAINING.MAX_ITER", "2", "PRETRAINING.IMS_PER_BATCH", "4"]


def test_a_training_and_its_evaluation_take_data_of_every_kind(any_data, tiny_overrides):
    pairs = ["PRETRAINING.ENABLED", "True", "SOLVER.IMS_PER_BATCH", "11", *SHORT]
    outcome = trained(any_data, tiny_overrides, *pairs)
    assert outcome["status"] == "done"
    per_class = outcome["result"]["per_class_AP"]
    assert per_class.keys() == {"a", "b", "none"} and per_class["none"] is None


def test_a_training_takes_a_folder_of_voc(voc_2007, tiny_overrides):
    outcome = trained(voc_2007.folder, tiny_overrides, *SHORT)
    assert outcome["status"] == "done"
    assert outcome["result"]["per_class_AP"].keys() == {"cat", "dog"}


def test_a_training_on_a_broken_image_ends_with_its_name(any_data, tiny_overrides):
    path = any_data / "images" / "train_8.jpg"
    path.write_bytes(b"broken since the check")
    pairs = ["DATASETS.CHECK", "False", "SOLVER.IMS_PER_BATCH", "11", *SHORT]
    with pytest.raises(DatasetError) as caught:  # of which train_net.py prints the message alone
        trained(any_data, tiny_overrides, *pairs)
    assert str(caught.value) == f"the image {path}: it is not an image of a known format"
