"""Every setting of the coco study is built, and trains two iterations on real images."""

from pathlib import Path

import pytest

from ablations.study.study import load_study
from tests.two_iterations import train_every_setting

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "coco_ccby"


@pytest.mark.slow
def test_every_setting_trains(tmp_path):
    if not DATA.is_dir():
        pytest.skip("the data set coco_ccby is not beside this checkout")
    train_every_setting(load_study("coco"), tmp_path, {"DATASETS.FOLDER": DATA})
