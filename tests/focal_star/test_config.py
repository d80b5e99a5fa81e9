"""Every config file, and what is refused."""

import pytest
import yaml
from detectron2.modeling import build_model

from focal_star.config import CONFIGS, ConfigError, load_config
from focal_star.losses import LOSSES

FILES = sorted(CONFIGS.rglob("*.yaml"))


def test_there_are_configs_for_each_loss_depth_and_scale():
    names = {path.stem for path in FILES}
    for depth in (50, 101):
        for scale in (600, 800):
            for loss in ("CE", "alpha_CE", "FL", "FL_star"):
                assert any(
                    f"R_{depth}_" in n and f"_{scale}_" in n and n.endswith(f"_{loss}")
                    for n in names
                ), (depth, scale, loss, names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_config_is_read_safely_and_makes_a_model(path):
    yaml.safe_load(path.read_text(encoding="utf-8"))
    cfg = load_config(path, ["MODEL.DEVICE", "cpu"])
    model = build_model(cfg)
    assert model.classification_loss.func is LOSSES[cfg.MODEL.FOCAL_STAR.LOSS]


def test_python_tags_are_refused(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("SEED: !!python/object/apply:eval ['1+1']\nVERSION: 2\n")
    with pytest.raises(ConfigError, match="python/object"):
        load_config(path)


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
    ],
)
def test_a_bad_file_is_named(tmp_path, text, words):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="bad.yaml") as error:
        load_config(path)
    assert words in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match="none.yaml"):
        load_config(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="MODEL.WEIGHTS is 'none.pth'"):
        load_config("", ["MODEL.WEIGHTS", "none.pth"])
    with pytest.raises(ConfigError, match="KEY VALUE"):
        load_config("", ["SEED"])
