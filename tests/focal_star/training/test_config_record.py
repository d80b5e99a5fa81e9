"""The config in a training's record: what differs from the defaults, and what follows from what."""

import pytest
from detectron2.config import get_cfg

from focal_star.config import CONFIGS, add_focal_star_config, load_config, resolve_config
from focal_star.config.checks import leaves, sources_of_derived
from focal_star.config.derived import plain_value
from focal_star.training import engine
from focal_star.training.config_record import config_record

FILES = sorted(
    str(path.relative_to(CONFIGS)) for path in CONFIGS.rglob("*.yaml") if path.name[0] != "."
)
OTHERS = {
    "the file": [],
    "faster_rcnn": ["MODEL.DETECTOR", "faster_rcnn"],
    "edge": ["INPUT.SHORT_EDGE", "72"],
    "anchors": [
        "MODEL.ANCHOR_GENERATOR.NUM_SCALES", "2",
        "MODEL.ANCHOR_GENERATOR.NUM_ASPECT_RATIOS", "1",
    ],
    "clipping": ["MODEL.FOCAL_STAR.LOSS", "focal_star", "MODEL.FOCAL_STAR.CLIP_NORM", "3.0"],
}  # fmt: skip
OF_FILES = {"MODEL.WEIGHTS"}
"""A path, which is compared by the content of its file."""


def values_of(cfg):
    return {key: plain_value(value) for key, value in leaves(cfg)}


@pytest.mark.parametrize("pairs", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("file", FILES)
def test_each_key_that_derive_changes_has_its_sources(file, pairs):
    try:
        resolved = resolve_config(CONFIGS / file, pairs)
    except ValueError as error:
        pytest.skip(str(error))
    derived = load_config(CONFIGS / file, pairs)
    before, after = values_of(resolved), values_of(derived)
    changed = {key for key in after if before[key] != after[key]} - OF_FILES
    sources = sources_of_derived(derived)
    assert changed <= set(sources)
    assert {source for of_key in sources.values() for source in of_key} <= set(after)


@pytest.mark.parametrize("file", FILES)
def test_defaults_and_values_give_the_config_again(file):
    cfg = load_config(CONFIGS / file)
    recorded = config_record(cfg)
    again = get_cfg()
    add_focal_star_config(again, cfg.EXTENSIONS)
    defaults = values_of(again)
    assert all(
        defaults[key] != value for key, value in recorded["values"].items() if key in defaults
    )
    assert defaults | recorded["values"] == values_of(cfg)


def test_a_training_records_the_config_that_it_ran_with(tiny_cfg):
    engine.prepare_data_and_weights(tiny_cfg)
    tiny_cfg.MODEL.RETINANET.FOCAL_LOSS_GAMMA = 0.75
    recorded = engine.train(tiny_cfg)["run"]["config"]
    assert recorded["values"]["SOLVER.MAX_ITER"] == tiny_cfg.SOLVER.MAX_ITER
    assert recorded["values"]["MODEL.RETINANET.FOCAL_LOSS_GAMMA"] == 0.75
    assert recorded["follows"]["INPUT.MIN_SIZE_TRAIN"] == ["INPUT.SHORT_EDGE"]
