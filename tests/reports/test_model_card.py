"""The card of a trained model: every number from records, every name escaped."""

import json
import re
from pathlib import Path

import numpy as np
import yaml
from msgspec.structs import replace

from ablations.records import speed as speeds
from ablations.records.record import DONE, FAILED, Record, load, save
from ablations.storage.layout import Layout
from ablations.study.cell import Setting
from reports import model_card
from tests.ablations.speeds import speed_of

ROOT = Path(__file__).resolve().parents[2]
AP = {1: 30.0, 2: 33.0}
RESAMPLES = {seed: list(np.linspace(ap - 1, ap + 1, 21)) for seed, ap in AP.items()}
NAME = "<b>|*odd*\n# \\x: [a](b) {{ 7 * 7 }}"


def record(seed: int, name: str = "digits_in_scenes") -> Record:
    """A done cell of FL*, with what a card shows."""
    metrics = {"AP": AP[seed], "AP50": 60.25, "APl": None}
    return Record(
        cell=f"focal_star-alpha0.25-gamma0.5-seed{seed}",
        fingerprint="f" * 64,
        identity={"config": "c", "dataset": "d", "weights": "w" * 64, "seed": seed, "numerics": 3},
        setting={"loss": "focal_star", "alpha": 0.25, "gamma": 0.5},
        seed=seed,
        status=DONE,
        command=f"python train_net.py SEED {seed}",
        result={
            "metrics": metrics,
            "per_class_AP": {"cat": 12.34, name: None},
            "weights_sha256": "a" * 64,
            "analysis": {
                "bootstrap": {"AP": RESAMPLES[seed], "images": 40, "resamples": 21, "seed": 0}
            },
        },
        run={"environment": {"focal_star": "9.9", "torch": "2.15.0", "gpu": ""}, "commit": "abc"},
        dataset={
            "name": name,
            "sha256": "5f" * 32,
            "categories": ["cat", name],
            "train": {"num_images": 80, "num_instances": 310},
            "val": {"num_images": 41, "num_instances": 155},
        },
    )


def study(folder: Path, *records: Record) -> list[Path]:
    """A study's folder with these records, and a checkpoint and config of each."""
    paths = []
    for one in records:
        paths.append(folder / "records" / f"{one.cell}.json")
        save(one, paths[-1])
        cell = folder / "cells" / one.cell
        cell.mkdir(parents=True)
        (cell / "model_final.pth").touch()
        (cell / "config.yaml").write_text(
            "MODEL: {RESNETS: {DEPTH: 18}, RETINANET: {PRIOR_PROB: 0.01}}\n"
            "SOLVER: {MAX_ITER: 600, BASE_LR: 0.003}\n"
        )
    return paths


def written(path: Path) -> tuple[dict, str]:
    """The header and the text of the card of a record."""
    assert model_card.main(["--record", str(path)]) == 0
    text = (path.parent.parent / "cells" / path.stem / "README.md").read_text("utf-8")
    _, header, body = re.split(r"^---$", text, maxsplit=2, flags=re.MULTILINE)
    return yaml.safe_load(header), body


def test_the_header_is_a_model_index(tmp_path):
    header, _ = written(study(tmp_path, record(1))[0])
    assert header["license"] == "apache-2.0" and header["pipeline_tag"] == "object-detection"
    (model,) = header["model-index"]
    (result,) = model["results"]
    assert model["name"] == record(1).cell
    assert result["task"]["type"] == "object-detection"
    assert result["dataset"]["name"] == "digits_in_scenes" and result["dataset"]["type"]
    found = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert found == {"AP": 30.0, "AP50": 60.25}  # and no APl, which is undefined


def test_the_card_says_what_the_record_says(tmp_path):
    _, body = written(study(tmp_path, record(1), record(2))[0])
    assert "# RetinaNet with FL\\* (α = 0.25, γ = 0.5) on digits_in_scenes" in body
    # The mean over the seeds is 31.5, their sample standard deviation 3 / sqrt(2).
    row = next(line for line in body.splitlines() if line.startswith("| AP |"))
    assert "| 30.0 |" in row and "| 31.5 ± 2.1 |" in row and len(re.findall(" to ", row)) == 2
    assert "are over the 2 seeds 1, 2 of this setting" in body
    for text in ("| α | 0.25 |", "| γ | 0.5 |", "| π | 0.01 |", "| seed | 1 |", "| cat | 12.3 |"):
        assert text in body
    for text in ("| learning rate | 0.003 |", "| iterations | 600 |", "ResNet-18", "torch: 2.15.0"):
        assert text in body
    assert "41 images with 155 objects" in body and "python train_net.py SEED 1" in body
    assert (
        "DefaultPredictor" in body
        and "focal_star.training.plain_checkpoint" in body
        and "gpu" not in body
    )


def test_an_interval_over_seeds_alone_is_not_called_one_over_images(tmp_path):
    other = record(2)
    other.result["metrics"]["AP50"] = 62.25
    _, body = written(study(tmp_path, record(1), other)[0])
    row = next(line for line in body.splitlines() if line.startswith("| AP₅₀ |"))
    assert row == "| AP₅₀ | 60.2 |  | 61.2 ± 1.4 |  |", "AP alone is resampled"


def test_an_interval_ends_at_what_an_ap_can_be(tmp_path):
    low, high = record(1), record(2)
    for one, ap in ((low, 0.5), (high, 99.5)):
        one.result["metrics"]["AP"] = ap
        one.result["analysis"]["bootstrap"]["AP"] = list(np.linspace(ap - 9, ap + 9, 21))
    paths = study(tmp_path, low, high)
    for path, bounds in zip(paths, ("0.0 to ", " to 100.0"), strict=True):
        row = next(line for line in written(path)[1].splitlines() if line.startswith("| AP |"))
        _, _, own, _, over = row.strip("| ").split(" | ")
        assert bounds in own and over == "0.0 to 100.0"


def test_the_title_names_another_schedule_than_1x(tmp_path):
    short = replace(record(1), setting=record(1).setting | {"schedule": 0.3})
    _, body = written(study(tmp_path, short)[0])
    assert "# RetinaNet with FL\\* (α = 0.25, γ = 0.5, 0.3x) on digits_in_scenes" in body


def test_a_backbone_that_plain_detectron2_lacks(tmp_path):
    (path,) = study(tmp_path, record(1))
    config = path.parent.parent / "cells" / path.stem / "config.yaml"
    name = "build_efficientnet_lite0_fpn_backbone"
    config.write_text(f"MODEL: {{RESNETS: {{DEPTH: 50}}, BACKBONE: {{NAME: {name}}}}}\n")
    _, body = written(path)
    assert "RetinaNet with an EfficientNet-Lite0" in body and "ResNet" not in body
    assert "Plain Detectron2 does not have this backbone" in body
    assert "DefaultPredictor" not in body and "focal_star.tools.demo" in body


def test_a_loss_of_ones_own_has_its_name(tmp_path):
    own = replace(record(1), setting={"loss": "gce", "alpha": 0.25, "gamma": 0.5})
    _, body = written(study(tmp_path, own)[0])
    assert "The model was trained with the loss gce, summed over all anchors" in body


def test_one_seed_is_shown_as_one(tmp_path):
    other = replace(record(2), setting={"loss": "focal", "alpha": 0.25, "gamma": 0.5}, cell="other")
    _, body = written(study(tmp_path, record(1), other)[0])
    assert "±" not in body and "trained with one seed" in body


def test_seeds_of_another_config_are_not_averaged(tmp_path):
    stale = replace(record(2), identity=record(2).identity | {"config": "older"})
    _, body = written(study(tmp_path, record(1), stale)[0])
    assert "±" not in body


def test_names_are_escaped(tmp_path):
    header, body = written(study(tmp_path, record(1, NAME))[0])
    assert header["model-index"][0]["results"][0]["dataset"]["name"] == NAME
    assert "<b>" not in body and "\n# \\x" not in body and "[a](b)" not in body
    shown = r"&lt;b&gt;\|\*odd\* \# \\x: \[a\](b) {{ 7 \* 7 }}"
    assert f"| {shown} |  |" in body and f"1: {shown}" in body


def test_a_detector_without_a_loss_of_ours(tmp_path):
    one = replace(record(1), setting={"detector": "faster_rcnn"})
    _, body = written(study(tmp_path, one)[0])
    assert "# Faster R-CNN on digits_in_scenes" in body
    assert "## Loss" not in body and "-m focal_star.tools.export --weights" not in body


def test_the_time_is_that_of_the_architecture_in_the_order_of_the_file(tmp_path):
    setting = Setting.of(detector="faster_rcnn", depth=34)
    one = replace(record(1), setting=setting.as_dict())
    path = study(tmp_path, one)[0]
    assert list(load(path).setting) == ["depth", "detector"], "sorted in the file, not in the id"
    speeds.save(speed_of([Setting(()), setting], lambda _: [4.0] * 10), Layout(tmp_path).speed)
    assert "| time per image | 4 ms (Example CPU) |" in written(path)[1]


def test_formulas_are_those_of_the_readme():
    readme = (ROOT / "projects" / "focal_star" / "README.md").read_text("utf-8")
    for name, formula in model_card.FORMULAS.items():
        row = next(line for line in readme.splitlines() if line.startswith(f"| `{name}` |"))
        _, _, printed, *_ = (cell.strip() for cell in row.split("|"))
        in_brackets = "log(sigmoid(gamma s + beta))"
        printed = printed.replace("log sigmoid(gamma s + beta)", in_brackets)
        assert formula == printed


def test_of_a_folder_those_that_are_done(tmp_path, capsys):
    failed = replace(record(2), status=FAILED, error="killed", result={})
    paths = study(tmp_path, record(1), failed)
    assert model_card.main(["--record", str(tmp_path / "records")]) == 0
    assert capsys.readouterr().out.count("README.md") == 1
    assert model_card.main(["--record", str(paths[1])]) == 2
    assert "the status is failed" in capsys.readouterr().err


def test_what_has_no_card_is_said(tmp_path, capsys):
    (path,) = study(tmp_path, record(1))
    (tmp_path / "cells" / record(1).cell / "model_final.pth").unlink()
    assert model_card.main(["--record", str(path)]) == 2
    assert "has no model_final.pth" in capsys.readouterr().err
    assert model_card.main(["--record", str(path), "--output", str(tmp_path / "card.md")]) == 0
    path.write_text("{")
    assert model_card.main(["--record", str(path)]) == 2
    assert "cannot be read as JSON" in capsys.readouterr().err


def test_a_folder_without_any_is_said(tmp_path, capsys):
    assert model_card.main(["--record", str(tmp_path)]) == 2
    assert "is done" in capsys.readouterr().err


def test_all_cards_of_a_study_are_found_by_its_name(tmp_path, capsys, monkeypatch):
    """Also where two data sets have one name, and so folders of other names."""
    monkeypatch.chdir(tmp_path)
    folders = []
    for parent in ("a", "b"):
        data = tmp_path / parent / "VOCdevkit"
        data.mkdir(parents=True)
        folders.append(Layout.of(Path("output"), "mini", data).root)
        study(folders[-1], record(1))
        asked = {"study": "mini", "dataset": str(data)}
        (folders[-1] / "study.json").write_text(json.dumps(asked))
        flags = ["--study", "mini", "--output", "output", "--dataset", str(data)]
        assert model_card.main(flags) == 0
        assert (folders[-1] / "cells" / record(1).cell / "README.md").exists()
    assert folders[0] != folders[1]
    assert model_card.main(["--study", "coco"]) == 2
    assert capsys.readouterr().err == "model_card: error: there is no output/coco/records\n"
