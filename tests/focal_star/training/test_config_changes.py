"""What a resumed training may change of its config, and what becomes of an earlier training."""

import copy
import json
from pathlib import Path

import pytest
from detectron2.config import CfgNode
from detectron2.engine import default_argument_parser

from focal_star.config import CONFIGS, load_config
from focal_star.config.checks import leaves
from focal_star.errors import ConfigError
from focal_star.training import checkpoints, command, config_changes, engine, interruption
from focal_star.training.config_changes import MAY_CHANGE, NO_EFFECT, REFUSED, effect_of
from focal_star.training.resume import CheckpointHook

MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"

MOVES_NO_WEIGHT = {
    "CACHE_DIR", "DATALOADER.NUM_WORKERS", "DATASETS.CHECK", "DATASETS.LINKS", "INPUT.MAX_PIXELS",
    "MODEL.FOCAL_STAR.FIRST_LOSS_WARNING", "MODEL.RETINANET.NMS_THRESH_TEST",
    "MODEL.RETINANET.SCORE_THRESH_TEST", "MODEL.RETINANET.TOPK_CANDIDATES_TEST",
    "MODEL.TRUSTED_WEIGHTS", "OUTPUT_DIR", "OUTPUT_WRITERS", "SOLVER.CHECKPOINT_PERIOD", "VERSION",
}  # fmt: skip


def other(value: object) -> object:
    """A value that differs."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return f"{value}x" if isinstance(value, str) else [9, 9]


def recorded(cfg: CfgNode) -> dict:
    return config_changes.record(cfg, cfg)


def changed(cfg: CfgNode, key: str, value: object) -> CfgNode:
    cfg = cfg.clone()
    *parts, name = key.split(".")
    node = cfg
    for part in parts:
        node = node[part]
    node[name] = value
    return cfg


CFG = load_config(MINI)
KEYS = [key for key, _ in leaves(CFG) if not key.startswith("MODEL.FASTER_RCNN.")]


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_refused_or_used_or_has_no_effect(key):
    value = dict(leaves(CFG))[key]
    new = 3 if key == "DATALOADER.NUM_WORKERS" else other(value)
    cfg = changed(CFG, key, new)
    start = changed(CFG, key, 2) if key == "DATALOADER.NUM_WORKERS" else CFG
    effect = effect_of(key, dict(leaves(start))[key], new)
    of_test = key.startswith("TEST.") and not key.startswith(("TEST.EVAL_PERIOD", "TEST.PRECISE"))
    assert (effect != REFUSED) == (key in MOVES_NO_WEIGHT or of_test)
    path = Path("a.pth")
    if effect == REFUSED:
        with pytest.raises(ConfigError, match="a.pth is of a training that cannot be") as error:
            config_changes.changes(recorded(start), cfg, path)
        old = config_changes.plain_value(value)
        assert f"{key} was {old!r}, and is now {new!r}" in str(error.value)
        assert "OUTPUT_DIR" in str(error.value)
    else:
        found = config_changes.changes(recorded(start), cfg, path)
        assert [c["key"] for c in found] == ([key] if effect == MAY_CHANGE else [])
    done = lambda: config_changes.changes(recorded(start), cfg, path, done=True)  # noqa: E731
    if effect == NO_EFFECT:
        assert done() == []
    else:
        with pytest.raises(ConfigError, match="is of a finished training"):
            done()


def test_the_table_names_keys_that_there_are():
    for rule in config_changes.RULES:
        assert any(key == rule or rule[-1] == "." and key.startswith(rule) for key in KEYS), rule


def test_all_changes_are_named_at_once():
    cfg = changed(changed(CFG, "SOLVER.BASE_LR", 1.0), "MODEL.FOCAL_STAR.LOSS", "ce")
    with pytest.raises(ConfigError) as error:
        config_changes.changes(recorded(CFG), cfg, Path("a.pth"))
    assert "SOLVER.BASE_LR was 0.003, and is now 1.0" in str(error.value)
    assert "MODEL.FOCAL_STAR.LOSS was 'focal', and is now 'ce'" in str(error.value)


def test_no_worker_and_some_draw_other_random_numbers():
    assert CFG.DATALOADER.NUM_WORKERS == 0
    with pytest.raises(ConfigError, match="NUM_WORKERS was 0, and is now 2"):
        config_changes.changes(
            recorded(CFG), changed(CFG, "DATALOADER.NUM_WORKERS", 2), Path("a.pth")
        )


def test_tuples_and_lists_are_alike_and_a_config_that_was_written_is_the_same(tmp_path):
    (tmp_path / "config.yaml").write_text(CFG.dump())
    again = load_config(tmp_path / "config.yaml")
    assert config_changes.changes(recorded(CFG), again, Path("a.pth")) == []
    json.dumps(recorded(CFG), allow_nan=False)


def test_the_code_of_the_loss_counts():
    found = recorded(CFG)
    assert len(found["loss_code"]) == 64
    with pytest.raises(ConfigError, match="code of the loss focal was 000000000000, and is now"):
        config_changes.changes(found | {"loss_code": "0" * 64}, CFG, Path("a.pth"))
    two_stage = load_config(MINI, ["MODEL.DETECTOR", "faster_rcnn"])
    assert recorded(two_stage)["loss_code"] == ""


@pytest.mark.parametrize(
    ("detector", "key"),
    [
        ("faster_rcnn", "MODEL.FOCAL_STAR.KERNEL"),
        ("faster_rcnn", "MODEL.OHEM.BATCH_SIZE"),
        ("retinanet", "MODEL.FASTER_RCNN.ROI_BOX_HEAD.NUM_FC"),
    ],
)
def test_what_is_for_the_other_detector_has_no_effect(detector, key):
    """The fingerprint of a cell leaves it out too, and the cell is then resumed."""
    cfg = load_config(MINI, ["MODEL.DETECTOR", detector])
    found = recorded(cfg)
    found["values"] |= {key: "other"}
    assert config_changes.changes(found, changed(cfg, key, "new"), Path("a.pth")) == []


def test_another_version_of_the_code_is_named_where_it_begins():
    found = recorded(CFG) | {"code": "0" * 64}
    (change,) = config_changes.changes(found, CFG, Path("a.pth"))
    assert change["key"] == "the code of focal_star" and change["old"] == "0" * 12
    assert config_changes.changes(found, CFG, Path("a.pth"), done=True) == []


def test_the_content_of_files_counts_and_not_their_place(tmp_path):
    first, second = tmp_path / "first.pth", tmp_path / "second.pth"
    first.write_bytes(b"weights")
    second.write_bytes(b"weights")
    cfg = changed(CFG, "MODEL.WEIGHTS", str(first))
    found, moved = recorded(cfg), changed(CFG, "MODEL.WEIGHTS", str(second))
    assert config_changes.changes(found, moved, Path("a.pth")) == []
    second.write_bytes(b"others")
    with pytest.raises(ConfigError, match="MODEL.WEIGHTS was '.*first.pth', and is now '.*second"):
        config_changes.changes(found, moved, Path("a.pth"))
    first.write_bytes(b"others")
    with pytest.raises(ConfigError, match="MODEL.WEIGHTS: the content of .*first.pth was "):
        config_changes.changes(found, cfg, Path("a.pth"))


def run(pairs: list[str], *flags: str) -> str | None:
    """What train_net.py does, in this process."""
    arguments = [*flags, "--config-file", str(MINI), *pairs]
    return command._train_or_evaluate(default_argument_parser().parse_args(arguments))


@pytest.fixture
def interrupted(tiny_overrides, monkeypatch) -> tuple[list[str], Path]:
    """The pairs and the folder of a training that was interrupted after 3 of 6 iterations."""

    def after_step(self):
        after(self)
        if self.trainer.iter == 2:
            state = self.trainer.full_state() | {"config": self._config}
            checkpoints.save_numbered(Path(self.trainer.cfg.OUTPUT_DIR), 2, state)
            self.trainer.interrupted = True
            raise interruption.Interrupted

    after = CheckpointHook.after_step
    with monkeypatch.context() as patch:
        patch.setattr(CheckpointHook, "after_step", after_step)
        with pytest.raises(interruption.Interrupted):
            run(tiny_overrides)
    return tiny_overrides, Path(tiny_overrides[tiny_overrides.index("OUTPUT_DIR") + 1])


def contents(folder: Path) -> dict[str, bytes]:
    """All but the log, to which a refusal may add."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "log.txt"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.slow
def test_a_resumed_training_uses_a_change_and_says_from_where_or_refuses_it(interrupted):
    pairs, folder = interrupted
    before = contents(folder)
    assert "config.yaml" in before and "model_0000002.pth" in before
    for key, value in (("SOLVER.BASE_LR", "0.1"), ("MODEL.FOCAL_STAR.LOSS", "ce"),
                       ("SOLVER.MAX_ITER", "9"), ("SEED", "7")):  # fmt: skip
        with pytest.raises(ConfigError, match=rf"model_0000002.pth is of .*{key} was "):
            run([*pairs, key, value], "--resume")
        assert contents(folder) == before
    changed = [*pairs, "TEST.BOOTSTRAP_RESAMPLES", "7", "DATASETS.CHECK", "False"]
    assert run(changed, "--resume") == "done"
    outcome = json.loads((folder / "result.json").read_text())
    assert outcome["run"]["config_changes"] == [
        {"iteration": 3, "key": "TEST.BOOTSTRAP_RESAMPLES", "old": 1000, "new": 7}
    ]
    assert outcome["config"]["values"]["TEST.BOOTSTRAP_RESAMPLES"] == 7
    # Of a finished training, nothing can be changed any more.
    finished = contents(folder)
    for key, value in (("SOLVER.MAX_ITER", "9"), ("TEST.BOOTSTRAP_RESAMPLES", "9")):
        with pytest.raises(ConfigError, match=f"result.json is of a finished .*{key} was "):
            run([*changed, key, value], "--resume")
        assert contents(folder) == finished
    assert run(changed, "--resume") == "done"
    again = ["--resume", "--config-file", str(folder / "config.yaml"), "OUTPUT_DIR", str(folder)]
    assert command._train_or_evaluate(default_argument_parser().parse_args(again)) == "done"
    assert contents(folder) == finished


@pytest.mark.slow
def test_what_was_trained_before_is_kept_under_a_number_of_its_own(interrupted):
    pairs, folder = interrupted
    first = contents(folder)
    assert run(pairs) == "done"
    second = contents(folder)
    assert run(pairs) == "done"
    third = contents(folder)
    kept = {name: first[name] for name in first}
    assert contents(folder / "earlier" / "1") == kept
    of_second = {k: v for k, v in second.items() if not k.startswith("earlier/")}
    assert contents(folder / "earlier" / "2") == of_second
    for name in ("config.yaml", "result.json", "model_final.pth", "detectron2.yaml"):
        assert name in of_second and name in third
    assert any(name.startswith("inference/") for name in of_second)
    assert (folder / "earlier" / "1" / "log.txt").is_file()


@pytest.mark.slow
def test_an_evaluation_leaves_a_training_as_it_is(interrupted):
    pairs, folder = interrupted
    assert run(pairs, "--resume") == "done"
    before = contents(folder)
    weights = ["MODEL.WEIGHTS", str(folder / "model_final.pth")]
    run([*pairs, *weights], "--eval-only")
    after = contents(folder)
    assert {name: after[name] for name in before} == before
    assert "evaluation/1/inference/coco_instances_results.json" in after
    run([*pairs, *weights], "--eval-only")
    assert "evaluation/2/config.yaml" in contents(folder)


@pytest.mark.slow
def test_a_checkpoint_of_an_earlier_version_is_resumed_with_a_warning(interrupted, caplog):
    pairs, folder = interrupted
    path = folder / "model_0000002.pth"
    content = checkpoints.read(path)
    old = copy.copy(content)
    del old["config"]
    checkpoints.write(path, old)
    cfg = load_config(MINI, pairs)
    found = engine.find_start(cfg, resume=True)
    assert found.state is not None and found.changes == []
    checkpoints.write(path, content)
    cfg.SOLVER.BASE_LR = 9.0
    with pytest.raises(ConfigError, match="SOLVER.BASE_LR was 0.003, and is now 9.0"):
        engine.find_start(cfg, resume=True)
