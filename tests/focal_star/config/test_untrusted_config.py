"""No config file runs code, whatever its keys name."""

import pickle
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from detectron2.config import get_cfg
from detectron2.data.build import load_proposals_into_dataset
from detectron2.utils.file_io import PathManager

from focal_star.config import CONFIGS, add_focal_star_config, load_config
from focal_star.config.checks import leaves
from focal_star.data.registration import register_folder
from focal_star.errors import ConfigError
from focal_star.training import command, engine

MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"
LEFT_ALONE = {"OUTPUT_DIR", "CACHE_DIR"}
"""Folders that a training writes to; a pickle cannot take their place."""

OF_OTHER_DETECTORS = tuple(
    f"MODEL.{name}" for name in ("ROI_", "RPN", "SEM_SEG_HEAD", "PANOPTIC_FPN", "FASTER_RCNN")
)
"""Keys that a RetinaNet does not look at: they are walked together."""


class Surprise:
    """Makes a file when it is unpickled."""

    def __reduce__(self):
        return Path("surprise").touch, ()


@pytest.fixture
def hostile(tmp_path, monkeypatch) -> Path:
    """A pickle whose loading makes ``surprise`` in the working directory."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "hostile.pkl"
    content = {"ids": [1], "boxes": [Surprise()], "objectness_logits": [1], "bbox_mode": 0}
    path.write_bytes(pickle.dumps(content))
    return path


def is_surprised() -> bool:
    found = Path("surprise").exists()
    Path("surprise").unlink(missing_ok=True)
    return found


def written(folder: Path, values: dict[str, object], base: str | Path = MINI) -> Path:
    """A config file with these dotted keys."""
    content: dict = {"_BASE_": str(base), "VERSION": 2}
    for key, value in values.items():
        node = content
        *parts, name = key.split(".")
        for part in parts:
            node = node.setdefault(part, {})
        node[name] = value
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def use(path: Path, overrides: list[str]) -> None:
    """Begin a training and an evaluation by a file, as far as it can be used."""
    with suppress(Exception):  # what a value is no good for is not asked here
        cfg = load_config(path, overrides)
        engine.prepare_data_and_weights(cfg)
        Path(cfg.OUTPUT_DIR).mkdir(exist_ok=True)
        trainer = engine.Trainer(cfg)
        trainer.load()
        next(iter(trainer.data_loader))
        next(iter(trainer.build_test_loader(cfg, cfg.DATASETS.TEST[0])))
        trainer.build_evaluator(cfg, cfg.DATASETS.TEST[0])


def forms(default: object, hostile: Path) -> list[object]:
    """The path in the forms that the key of a default may take."""
    if isinstance(default, list | tuple):
        return [[str(hostile)], [[str(hostile)]]]
    return [str(hostile)]


@pytest.mark.slow
def test_no_key_runs_code(hostile, tiny_overrides, tmp_path):
    cfg = get_cfg()
    add_focal_star_config(cfg, ["mini"])
    taken, of_others = set(), {}
    given = [*tiny_overrides, "MODEL.BACKBONE.STORE_FROZEN", "False"]  # which takes long
    for key, default in leaves(cfg):
        for value in forms(default, hostile):
            path = written(tmp_path, {key: value})
            try:
                load_config(path)
            except ConfigError:
                continue
            taken.add(key)
            if key.startswith(OF_OTHER_DETECTORS):
                of_others[key] = value
                continue
            pairs = zip(given[::2], given[1::2], strict=True)
            kept = [pair for pair in pairs if pair[0] != key or key in LEFT_ALONE]
            use(path, [text for pair in kept for text in pair])
            assert not is_surprised(), (key, value)
    use(written(tmp_path, of_others), given)
    assert not is_surprised(), of_others
    assert {"MODEL.WEIGHTS", "DATASETS.TRAIN", "DATASETS.FOLDER"} <= taken
    assert len(taken) > 80 and len(of_others) > 30


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"MODEL.TRUSTED_WEIGHTS": True},
            "is True in a file.*only on the command line",
        ),
        ({"MODEL.TRUSTED_WEIGHTS": "True"}, "TRUSTED_WEIGHTS is True in a file"),
        ({"MODEL.TRUSTED_WEIGHTS": 1}, "TRUSTED_WEIGHTS"),
        ({"MODEL.LOAD_PROPOSALS": True}, "LOAD_PROPOSALS is True; valid: False"),
        ({"DATASETS.PROPOSAL_FILES_TRAIN": ["hostile.pkl"]}, "PROPOSAL_FILES_TRAIN is .*valid"),
        ({"DATASETS.PROPOSAL_FILES_TEST": ["hostile.pkl"]}, "PROPOSAL_FILES_TEST is .*valid"),
        ({"MODEL.WEIGHTS": "https://host/a/../../x.pth"}, "MODEL.WEIGHTS is .*without .."),
        ({"MODEL.WEIGHTS": "detectron2://../../x.pkl"}, "MODEL.WEIGHTS is .*without .."),
    ],
)
def test_what_would_run_code_is_refused(hostile, tmp_path, values, words):
    path = written(tmp_path, values)
    with pytest.raises(ConfigError, match=words):
        load_config(path)
    over = tmp_path / "over.yaml"
    over.write_text(f"_BASE_: {path}\nVERSION: 2\n")
    with pytest.raises(ConfigError, match=words):
        load_config(over)
    if "MODEL.WEIGHTS" not in values:  # which was another key then
        path.write_text(path.read_text().replace(f"_BASE_: {MINI}", "").replace("N: 2", "N: 1"))
        with pytest.raises(ConfigError, match=words):
            load_config(path)
    assert not is_surprised()


def test_a_base_may_not_be_kept_outside_the_cache(tmp_path, monkeypatch):
    def download(url: str, folder: str, filename: str) -> str:
        raise OSError(f"{url} would go to {Path(folder).resolve() / filename}")

    monkeypatch.setattr("iopath.common.file_io.download", download)
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "a" / "cache"))
    address = "https://host/../../x.yaml"
    with pytest.raises(ConfigError, match=r"https://host/\.\./\.\./x.yaml has \.\. in its path"):
        load_config(written(tmp_path, {}, base=address))
    with pytest.raises(OSError, match=f"would go to {tmp_path}/x.yaml"):
        PathManager.open(address)  # or the case is none


def test_the_pickle_runs_code_where_it_is_loaded_plainly(hostile, tiny_data, tmp_path):
    """The tests above would notice."""
    pickle.loads(hostile.read_bytes())
    assert is_surprised()
    train, _ = register_folder(tiny_data)
    with suppress(Exception):
        load_proposals_into_dataset([], str(hostile))
    assert is_surprised(), "Detectron2 unpickles proposals"


@pytest.mark.parametrize("trusted", [False, True])
def test_the_command_line_alone_trusts(hostile, tiny_overrides, tmp_path, monkeypatch, trusted):
    """And what it says is not written down."""
    passed = []
    monkeypatch.setattr(command.engine, "evaluate", lambda cfg, trusted: passed.append(trusted))
    pairs = [*tiny_overrides, "MODEL.WEIGHTS", str(hostile)]
    pairs += ["MODEL.TRUSTED_WEIGHTS", "True"] if trusted else []
    arguments = ["--eval-only", "--config-file", str(MINI), *pairs]
    command._train_or_evaluate(command.default_argument_parser().parse_args(arguments))
    assert passed == [trusted]
    dumped = tmp_path / "train" / "config.yaml"
    assert yaml.safe_load(dumped.read_text())["MODEL"]["TRUSTED_WEIGHTS"] is False
    load_config(dumped)


def test_trust_of_a_config_object_is_not_heard(hostile, tiny_cfg):
    """However it came there, such as by Detectron2's own ``merge_from_file``."""
    tiny_cfg.MODEL.TRUSTED_WEIGHTS, tiny_cfg.MODEL.WEIGHTS = True, str(hostile)
    engine.prepare_data_and_weights(tiny_cfg)
    for use_weights in (engine.train, engine.evaluate):
        with pytest.raises(ConfigError, match="hostile.pkl is not loaded"):
            use_weights(tiny_cfg)
    assert not is_surprised()
    with suppress(Exception):
        engine.evaluate(tiny_cfg, trusted=True)
    assert is_surprised()
