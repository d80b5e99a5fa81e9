"""Every config file, and what is refused."""

import re

import pytest
import yaml
from detectron2.config import CfgNode, get_cfg
from detectron2.modeling import GeneralizedRCNN, build_model

from focal_star.config import (
    CONFIGS,
    add_focal_star_config,
    check_config,
    derive,
    load_config,
    resolve_config,
)
from focal_star.errors import ConfigError
from focal_star.losses import LOSSES
from focal_star.training import engine

FILES = sorted(CONFIGS.rglob("*.yaml"))
COCO = CONFIGS / "coco" / "retinanet_FPN_1x.yaml"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_config_is_read_safely_and_makes_a_model(path):
    yaml.safe_load(path.read_text(encoding="utf-8"))
    cfg = load_config(path, ["MODEL.DEVICE", "cpu"])
    model = build_model(cfg)
    if cfg.MODEL.DETECTOR == "retinanet":
        assert model.classification_loss.func is LOSSES[cfg.MODEL.FOCAL_STAR.LOSS]
    else:
        assert isinstance(model, GeneralizedRCNN)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_a_config_with_its_own_weight_decay_sets_that_of_biases(path):
    """Without it, biases decay by 0.0001 in Detectron2 0.5, and by WEIGHT_DECAY in main."""
    solver = yaml.safe_load(path.read_text(encoding="utf-8")).get("SOLVER", {})
    assert "WEIGHT_DECAY_BIAS" in solver or "WEIGHT_DECAY" not in solver


def test_python_tags_are_refused(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("SEED: !!python/object/apply:eval ['1+1']\nVERSION: 2\n")
    with pytest.raises(ConfigError, match="python/object"):
        load_config(path)


def test_values_that_python_code_gives_are_taken():
    """As Detectron2's own tutorials set them."""
    cfg = load_config(COCO)
    cfg.SOLVER.STEPS, cfg.DATASETS.TRAIN, cfg.SOLVER.WEIGHT_DECAY = [], ["a"], 0
    check_config(cfg)
    cfg.SOLVER.STEPS = "abc"
    with pytest.raises(ConfigError, match="SOLVER.STEPS is 'abc'; valid: a tuple"):
        check_config(cfg)


def test_all_bad_values_are_named_at_once():
    with pytest.raises(ConfigError, match="config: ") as error:
        load_config(
            "",
            ["MODEL.FOCAL_STAR.LOSS", "fl", "MODEL.RETINANET.FOCAL_LOSS_ALPHA", "-1.0",
             "MODEL.RETINANET.FOCAL_LOSS_GAMMA", "-2.0", "MODEL.RETINANET.PRIOR_PROB", "1.0",
             "SOLVER.OPTIMIZER", "Adam", "TEST.COCO_EVAL", "x"],
        )  # fmt: skip
    for word in ("'fl'", "-1.0", "-2.0", "PRIOR_PROB", "'Adam'", "'x'", "None for no weighting"):
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("key", "value", "valid"),
    [
        ("SOLVER.BETAS", "(0.9,)", "two numbers >= 0 and < 1"),
        ("SOLVER.BETAS", "(0.9, 1.0)", "two numbers >= 0 and < 1"),
        ("TEST.AUG.ENABLED", "True", "False"),
        ("PRETRAINING.MAX_ITER", "0", "a whole number of iterations >= 1"),
        ("PRETRAINING.IMS_PER_BATCH", "0", "a whole number of crops >= 1"),
        ("PRETRAINING.CROP_SIZE", "0", "a whole number of px <= 100000 and >= 1"),
    ],
)
def test_a_value_that_fails_later_or_has_no_effect_is_refused(key, value, valid):
    with pytest.raises(ConfigError) as error:
        load_config(MINI, [key, value])
    assert str(error.value) == f"config: {key} is {value}; valid: {valid}"


def test_an_unknown_key_is_refused():
    with pytest.raises(ConfigError, match="GAMA"):
        load_config("", ["MODEL.RETINANET.GAMA", "2.0"])


def test_no_weighting_is_none():
    cfg = load_config("", ["MODEL.RETINANET.FOCAL_LOSS_ALPHA", "None"])
    assert cfg.MODEL.RETINANET.FOCAL_LOSS_ALPHA is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SEED: [", "bad.yaml"),
        ("SEED: one\nVERSION: 2\n", "SEED"),
        ("_BASE_: nowhere.yaml\nVERSION: 2\n", "nowhere.yaml"),
        ("NOTHING: 1\nVERSION: 2\n", "NOTHING"),
        ("", "bad.yaml: a config is a mapping of keys"),
        ("# SEED: 1\n", "bad.yaml: a config is a mapping of keys"),
        ("- SEED: 1\n", "bad.yaml: a config is a mapping of keys"),
        ("SEED\n", "bad.yaml: a config is a mapping of keys"),
        ("PRETRAINING: {ENABLED: True}\nVERSION: 2\n", "add EXTENSIONS: [mini]"),
        ("MODEL: {CHANNELS_LAST: True}\nVERSION: 2\n", "belongs to the extension mini;"),
    ],
)
def test_a_bad_file_is_named(tmp_path, text, words):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="bad.yaml") as error:
        load_config(path)
    assert words in str(error.value)


def test_a_pair_that_needs_an_extension_is_refused_with_its_name():
    with pytest.raises(ConfigError, match=r"STORE_FROZEN; .* mini; add EXTENSIONS: \[mini\]"):
        load_config("", ["MODEL.BACKBONE.STORE_FROZEN", "True"])
    with pytest.raises(ConfigError, match="PRETRAINING.LR$"):
        load_config("", ["PRETRAINING.LR", "1.0"])


def test_a_pair_cannot_remove_an_extension(tmp_path):
    """The keys of the extension would stay without it."""
    path = tmp_path / "extended.yaml"
    path.write_text("EXTENSIONS: [mini]\nPRETRAINING: {ENABLED: True}\nVERSION: 2\n")
    with pytest.raises(ConfigError, match=r"EXTENSIONS is \[\], .* keys of mini; remove the pair"):
        load_config(path, ["EXTENSIONS", "[]"])
    assert load_config(path, ["EXTENSIONS", "['mini']"]).EXTENSIONS == ["mini"]


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match="none.yaml"):
        load_config(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="MODEL.WEIGHTS is 'none.pth'"):
        load_config("", ["MODEL.WEIGHTS", "none.pth"])
    with pytest.raises(ConfigError, match="KEY VALUE"):
        load_config("", ["SEED"])


BASE = CONFIGS / "Base-FocalStar-RetinaNet.yaml"
MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_deriving_twice_changes_nothing_more(path):
    cfg = load_config(path)
    once = cfg.dump()
    derive(cfg)
    assert cfg.dump() == once


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_a_config_that_detectron2_alone_has_merged_is_the_same_or_refused(path):
    """As the ``setup()`` of Detectron2's projects has it."""
    cfg = get_cfg()
    add_focal_star_config(cfg, load_config(path).EXTENSIONS)
    cfg.merge_from_file(str(path))
    cfg.MODEL.DEVICE = "cpu"
    ours = load_config(path, ["MODEL.DEVICE", "cpu"])
    assert cfg != ours, "or the case is none"
    for use in (build_model, engine.prepare_data_and_weights, engine.evaluate, engine.train):
        with pytest.raises(ConfigError, match=r"focal_star\.config\.load_config") as error:
            use(cfg)
    assert "derive(cfg)" in str(error.value) and " follows from the config" in str(error.value)
    derive(cfg)
    assert cfg.dump() == ours.dump()


def test_short_keys_that_are_none_leave_the_others_as_they_are():
    assert resolve_config("") == load_config("")
    none = ["MODEL.WEIGHTS", "", "MODEL.FOCAL_STAR.CLIP_NORM", "None"]
    assert resolve_config(BASE, none) == load_config(BASE, none)


def anchors_of(path, *pairs: str) -> CfgNode:
    """The anchors of a config, with pairs whose keys are short of MODEL.ANCHOR_GENERATOR."""
    keys = [f"MODEL.ANCHOR_GENERATOR.{key}" for key in pairs[::2]]
    given = [text for pair in zip(keys, pairs[1::2], strict=True) for text in pair]
    return load_config(path, given).MODEL.ANCHOR_GENERATOR


def test_scales_an_octave_follow_from_the_smallest_size_of_a_level():
    sizes, written = anchors_of(BASE, "NUM_SCALES", "3").SIZES, anchors_of(BASE).SIZES
    assert sizes == written
    for number in (1, 2, 4):
        sizes = anchors_of(MINI, "NUM_SCALES", str(number)).SIZES
        assert [level[0] for level in sizes] == [32, 64, 128, 256, 512]
        for level in sizes:
            ratios = [b / a for a, b in zip(level, [*level[1:], 2 * level[0]], strict=True)]
            assert ratios == pytest.approx([2 ** (1 / number)] * number)


@pytest.mark.parametrize(("number", "ratios"), [(1, [1.0]), (3, [0.5, 1.0, 2.0])])
def test_aspect_ratios(number, ratios):
    cfg = load_config(MINI, ["MODEL.ANCHOR_GENERATOR.NUM_ASPECT_RATIOS", str(number)])
    (found,) = cfg.MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS
    assert found == ratios
    assert build_model(cfg).anchor_generator.num_anchors == [3 * number] * 5


@pytest.mark.parametrize(("short", "long"), [(800, 1333), (600, 1000), (128, 213)])
def test_the_input_scale(short, long):
    image = load_config(MINI, ["INPUT.SHORT_EDGE", str(short)]).INPUT
    found = [image.MIN_SIZE_TRAIN, image.MIN_SIZE_TEST, image.MAX_SIZE_TRAIN, image.MAX_SIZE_TEST]
    assert found == [(short,), short, long, long]


def test_minis_own_scale_and_anchors_are_its_defaults_written_short():
    """So that a table's cell at these values is the default cell."""
    pairs = ["MODEL.ANCHOR_GENERATOR.NUM_SCALES", "3", "INPUT.SHORT_EDGE", "128",
             "MODEL.ANCHOR_GENERATOR.NUM_ASPECT_RATIOS", "3"]  # fmt: skip
    short, plain = resolve_config(MINI, pairs), resolve_config(MINI)
    assert short == plain
    mini, base = anchors_of(MINI), anchors_of(BASE)
    assert mini.SIZES == base.SIZES
    ratios = mini.ASPECT_RATIOS
    assert ratios == base.ASPECT_RATIOS


@pytest.mark.parametrize(
    ("key", "value", "valid"),
    [
        ("SOLVER.IMS_PER_BATCH", "0", "a whole number of images >= 1"),
        ("SOLVER.CHECKPOINT_PERIOD", "0", "a whole number of iterations >= 1"),
        ("DATALOADER.NUM_WORKERS", "-1", "0 for none"),
        ("INPUT.SHORT_EDGE", "0", ">= 1"),
        ("INPUT.SHORT_EDGE", "128.5", ">= 1"),
        ("INPUT.SHORT_EDGE", "True", ">= 1"),
        ("INPUT.BIT_DEPTH", "7", "from 8 to 16, or None for 16"),
        ("INPUT.BIT_DEPTH", "17", "from 8 to 16, or None for 16"),
        ("INPUT.BIT_DEPTH", "12.0", "from 8 to 16, or None for 16"),
        ("PRETRAINING.SHORT_EDGE", "0", ">= 1"),
        ("MODEL.ANCHOR_GENERATOR.NUM_ASPECT_RATIOS", "2", "one of 1, 3, or None"),
        ("MODEL.ANCHOR_GENERATOR.NUM_SCALES", "0", ">= 1, or None"),
        ("MODEL.ANCHOR_GENERATOR.SIZES", "[16.0, 32.0]", "a list of at least one size"),
        ("MODEL.ANCHOR_GENERATOR.SIZES", "[[16.0], []]", "a list of at least one size"),
        ("MODEL.OHEM.METHOD", "OHEM", "one of ohem, ohem_1_3, or None"),
        ("MODEL.OHEM.BATCH_SIZE", "0", ">= 1"),
        ("MODEL.OHEM.NMS_THRESH", "1.5", "in [0, 1]"),
        ("TEST.BOOTSTRAP_RESAMPLES", "-1", "or 0 for none"),
        ("SOLVER.STEPS", "(60000, 90000)", "iterations other than the last, 90000"),
    ],
)
def test_a_bad_value_is_named_with_what_is_valid(key, value, valid):
    path = MINI if key.endswith("SIZES") or key.startswith("PRETRAINING") else BASE
    with pytest.raises(ConfigError, match=rf"{key} is '?{re.escape(value)}'?; valid: ") as error:
        load_config(path, [key, value])
    assert valid in str(error.value)


def test_one_positive_to_three_negatives_needs_a_batch_of_four():
    pairs = ["MODEL.OHEM.BATCH_SIZE", "3", "MODEL.OHEM.METHOD"]
    assert load_config(MINI, [*pairs, "ohem"]).MODEL.OHEM.METHOD == "ohem"
    with pytest.raises(ConfigError, match="BATCH_SIZE is 3; valid: .*>= 4 for ohem_1_3"):
        load_config(MINI, [*pairs, "ohem_1_3"])


def test_a_pair_that_would_be_written_over_is_refused():
    given = ["INPUT.MIN_SIZE_TEST", "200", "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", "[[2.0]]"]
    with pytest.raises(ConfigError, match="MIN_SIZE_TEST follows from INPUT.SHORT_EDGE 128") as e:
        load_config(MINI, given)
    assert "ASPECT_RATIOS follows from MODEL.ANCHOR_GENERATOR.NUM_ASPECT_RATIOS 3" in str(e.value)
    free = ["INPUT.SHORT_EDGE", "None", "MODEL.ANCHOR_GENERATOR.NUM_ASPECT_RATIOS", "None"]
    cfg = load_config(MINI, given + free)
    assert cfg.INPUT.MIN_SIZE_TEST == 200
    assert cfg.MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS == [[2.0]]


@pytest.mark.parametrize("depth", [50, 101])
def test_the_initial_weights_are_those_of_the_depth(depth):
    """For the configs of COCO, and for a depth given by hand."""
    address = f"detectron2://ImageNetPretrained/MSRA/R-{depth}.pkl"
    files = [path for path in FILES if f"R_{depth}_" in path.name]
    assert {load_config(path).MODEL.WEIGHTS for path in files} == {address}
    cfg = load_config(COCO, ["MODEL.RESNETS.DEPTH", str(depth)])
    found = cfg.MODEL.WEIGHTS
    derive(cfg)
    assert (found, cfg.MODEL.WEIGHTS) == (address, address)


def test_a_file_of_initial_weights_stays(tmp_path):
    path = tmp_path / "weights.pth"
    path.touch()
    weights = load_config(COCO, ["MODEL.WEIGHTS", str(path)]).MODEL.WEIGHTS
    assert weights == str(path)


@pytest.mark.parametrize("loss", LOSSES)
def test_on_coco_focal_star_alone_is_clipped(loss):
    clip = load_config(COCO, ["MODEL.FOCAL_STAR.LOSS", loss]).SOLVER.CLIP_GRADIENTS
    is_clipped = clip.ENABLED
    assert is_clipped == (loss == "focal_star")
    if is_clipped:
        assert (clip.CLIP_TYPE, clip.CLIP_VALUE) == ("full_model", 10.0)


def test_clipping_by_hand_needs_the_losss_own_off():
    by_hand = ["MODEL.FOCAL_STAR.LOSS", "focal_star", "SOLVER.CLIP_GRADIENTS.CLIP_VALUE", "1.0"]
    with pytest.raises(ConfigError, match="CLIP_VALUE follows from MODEL.FOCAL_STAR.CLIP_NORM 10"):
        load_config(COCO, by_hand)
    clip = load_config(COCO, [*by_hand, "MODEL.FOCAL_STAR.CLIP_NORM", "None"]).SOLVER.CLIP_GRADIENTS
    assert (clip.ENABLED, clip.CLIP_VALUE) == (False, 1.0)
    with pytest.raises(ConfigError, match="CLIP_NORM is 0.0; valid: a number > 0, or None"):
        load_config(COCO, ["MODEL.FOCAL_STAR.CLIP_NORM", "0.0"])


SCHEDULED = (
    "SOLVER.MAX_ITER",
    "SOLVER.WARMUP_ITERS",
    "SOLVER.CHECKPOINT_PERIOD",
    "TEST.LOSS_PERIOD",
)


def scheduled(cfg):
    return [cfg[key.split(".")[0]][key.split(".")[1]] for key in SCHEDULED]


def test_a_schedule_multiplies_the_lengths_of_a_training_once():
    at_1x, quarter = load_config(MINI), load_config(MINI, ["SOLVER.SCHEDULE", "0.25"])
    assert scheduled(quarter) == [round(number / 4) for number in scheduled(at_1x)]
    derive(quarter)
    assert scheduled(quarter) == [round(number / 4) for number in scheduled(at_1x)]
    steps = load_config(BASE, ["SOLVER.SCHEDULE", "3.0", "MODEL.WEIGHTS", ""]).SOLVER
    assert (steps.STEPS, steps.MAX_ITER) == ((180_000, 240_000), 270_000)


def test_a_saved_config_keeps_its_schedule_and_can_be_given_another(tmp_path):
    saved = tmp_path / "config.yaml"
    saved.write_text(load_config(MINI, ["SOLVER.SCHEDULE", "0.25"]).dump())
    assert load_config(saved).SOLVER.SCHEDULE == 0.25
    assert scheduled(load_config(saved)) == scheduled(
        load_config(MINI, ["SOLVER.SCHEDULE", "0.25"])
    )
    assert scheduled(load_config(saved, ["SOLVER.SCHEDULE", "1.0"])) == scheduled(load_config(MINI))
    # Of a saved config, whose lengths are what they are, a length can be given as always.
    assert load_config(saved, ["SOLVER.MAX_ITER", "7"]).SOLVER.MAX_ITER == 7


def test_no_length_becomes_0_and_0_stays_0():
    cfg = load_config(MINI, ["SOLVER.SCHEDULE", "0.001"])
    assert scheduled(cfg) == [3, 1, 1, 1]
    assert cfg.TEST.EVAL_PERIOD == 0


def test_a_length_beside_a_schedule_is_refused():
    with pytest.raises(ConfigError, match="MAX_ITER is multiplied by SOLVER.SCHEDULE 0.5"):
        load_config(MINI, ["SOLVER.SCHEDULE", "0.5", "SOLVER.MAX_ITER", "7"])
    assert load_config(MINI, ["SOLVER.MAX_ITER", "7"]).SOLVER.MAX_ITER == 7
