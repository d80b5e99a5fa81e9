"""How an earlier training is moved aside, without training one."""

from contextlib import suppress
from pathlib import Path

import pytest

from focal_star.config import CONFIGS, load_config
from focal_star.errors import ConfigError
from focal_star.training.resume import find_start
from focal_star.training.set_aside import holds_training, keep_earlier

DONE = ("model_final.pth", "metrics.json", "result.json", "config.yaml", "log.txt")
UNFINISHED = ("model_0000009.pth", "last_checkpoint", "metrics.json", "config.yaml", "log.txt")
DIVERGED = ("divergence.json", "result.json", "config.yaml", "log.txt")


def write(folder: Path, names: tuple[str, ...]) -> None:
    for name in (*names, "inference/coco_instances_results.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"earlier {name}")


@pytest.mark.parametrize("names", [DONE, UNFINISHED, DIVERGED], ids=["done", "unfinished", "nan"])
@pytest.mark.parametrize("num_moved", range(6))
def test_after_a_kill_between_two_moves_the_rest_is_moved_too(
    tmp_path, monkeypatch, names, num_moved
):
    write(tmp_path, names)
    replace, moved = Path.replace, []

    def until_the_kill(path: Path, target: Path) -> None:
        if len(moved) == num_moved:
            raise KeyboardInterrupt
        moved.append(replace(path, target))

    monkeypatch.setattr(Path, "replace", until_the_kill)
    with suppress(KeyboardInterrupt):
        keep_earlier(tmp_path)
    monkeypatch.undo()
    if holds_training(tmp_path):
        keep_earlier(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["earlier"]
    kept = [path for path in (tmp_path / "earlier").glob("*/**/*") if path.is_file()]
    assert len(kept) == len(names) + 1


def test_a_config_of_the_earlier_training_can_still_be_read(tmp_path):
    write(tmp_path, DONE)
    cfg = load_config(CONFIGS / "mini" / "retinanet_R_18_FPN.yaml", ["OUTPUT_DIR", str(tmp_path)])
    find_start(cfg, resume=False, config_file=str(tmp_path / "config.yaml"))
    for folder in (tmp_path, tmp_path / "earlier" / "1"):
        assert (folder / "config.yaml").read_text() == "earlier config.yaml"
    assert not holds_training(tmp_path)


def test_weights_of_the_training_that_would_be_moved_are_refused(tmp_path):
    write(tmp_path, DONE)
    pairs = ["OUTPUT_DIR", str(tmp_path), "MODEL.WEIGHTS", str(tmp_path / "model_final.pth")]
    cfg = load_config(CONFIGS / "mini" / "retinanet_R_18_FPN.yaml", pairs)
    with pytest.raises(ConfigError, match="MODEL.WEIGHTS is .*model_final.pth.*another OUTPUT_DIR"):
        find_start(cfg, resume=False)
    assert (tmp_path / "model_final.pth").is_file() and not (tmp_path / "earlier").exists()
