"""A small real run of every part, and the command."""

import importlib
import json
import sys

import pytest
import torch
from detectron2.config import get_cfg
from detectron2.engine import DefaultTrainer
from detectron2.modeling import RetinaNet, build_model

from benchmarks import __main__ as command
from benchmarks import evaluation, loss, plain_train_net, step, study
from benchmarks.case import run_case
from benchmarks.harness import MIN_ROUNDS
from focal_star.config import load_config

SMALL = {
    "loss": {"shape": [2, 40, 3], "name": "tiny", "dtype": "float32", "threads": 1},
    "step": {
        "name": "tiny",
        "config": "mini/retinanet_R_18_FPN.yaml",
        "num_images": 2,
        "size": [64, 64],
        "threads": 1,
    },
    "evaluation": {"num_images": 10, "num_detections": 200, "threads": 1},
    "planning": {"num_cells": 5, "threads": 1},
    "rendering": {"num_records": 3, "threads": 1},
    "study": {
        "grids": ["gamma"],
        "rows": 2,
        "changes": {"SOLVER": {"MAX_ITER": 2}, "PRETRAINING": {"ENABLED": False}},
        "sample": 1,
        "threads": 2,
    },
}
ALL_PARTS = (*command.PARTS, *command.ON_REQUEST)
BASELINES = {
    "loss": "Detectron2",
    "step": "Detectron2",
    "evaluation": "pycocotools",
    "study": "Detectron2, a process a cell: 1 of the cells, × 2",
}
ONE_ROUND = ("study",)


@pytest.fixture(autouse=True)
def threads():
    """A case sets the number of threads."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def without_compiler(monkeypatch):
    monkeypatch.setattr(loss, "FORMS", ("eager",))


def test_every_part_is_run_here():
    assert SMALL.keys() == set(command.PARTS)


@pytest.mark.parametrize("part", ALL_PARTS)
def test_the_cases_of_a_part_are_what_it_can_build(part):
    module = importlib.import_module(f"benchmarks.{part}")
    for on_gpu in (False, True):
        cases = module.cases(on_gpu)
        known = SMALL[part.removesuffix("_full")].keys()
        assert cases and all(case.keys() == known for case in cases)


@pytest.mark.slow
@pytest.mark.parametrize("part", command.PARTS)
def test_a_small_run(part, without_compiler, tiny_data):
    small = SMALL[part] | ({"dataset": str(tiny_data)} if part == "study" else {})
    found = run_case(part, small)
    json.dumps(found)
    names = [side["name"] for side in found["sides"]]
    assert len(set(names)) == len(names)
    assert found["baseline"] == BASELINES.get(part)
    assert found["baseline"] is None or found["baseline"] in names
    rounds = {len(side["seconds"]) for side in found["sides"]}
    assert len(rounds) == 1 and rounds.pop() >= (1 if part in ONE_ROUND else MIN_ROUNDS)
    assert all(seconds > 0 for side in found["sides"] for seconds in side["seconds"])


def test_the_paths_of_the_loss_compute_the_same(without_compiler):
    logits, labels = loss._inputs(2, 400, 3, torch.float32, "cpu")
    case = loss.build(**SMALL["loss"] | {"shape": [2, 400, 3]})
    paths = [side.run.args[0] for side in case.sides]
    assert len(paths) == 3
    found = []
    for path in paths:
        total = path(logits, labels)
        found.append((total, *torch.autograd.grad(total, logits)))
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-4, atol=1e-7)


@pytest.mark.slow
def test_the_sides_of_a_step_compute_the_same():
    case = step.build(**SMALL["step"])
    found = []
    for side in case.sides:
        side.run()
        model = side.run.args[0]
        found.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert len(found) == 3 and found[0]
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-3, atol=1e-5)


def test_both_backends_find_the_same_ap():
    case = evaluation.build(**SMALL["evaluation"] | {"num_images": 20})
    ours, theirs = (side.run() for side in case.sides)
    assert ours == pytest.approx(theirs) and 0.05 < ours[0] < 1


def test_rows_are_taken_evenly():
    assert study._spread("abcde", 1) == ["c"]
    assert study._spread("abcdef", 2) == ["b", "e"]
    assert study._spread("abc", 3) == ["a", "b", "c"]


def test_the_plain_loop_trains_the_studys_model_with_detectron2s_own_parts(tmp_path):
    """What the plain config does not have of the study's is what Detectron2 does not know."""
    changed = study._study(tmp_path, ["alpha"], 1, {"SOLVER": {"MAX_ITER": 7}})
    (tmp_path / "plain.yaml").write_text(study._plain_config(changed, "weights.pth"))
    plain = get_cfg()
    plain.merge_from_file(str(tmp_path / "plain.yaml"))
    ours = load_config(changed.config)
    assert (plain.SOLVER.MAX_ITER, plain.MODEL.WEIGHTS) == (7, "weights.pth")
    for key in ("ANCHOR_GENERATOR", "FPN", "RESNETS", "PIXEL_MEAN", "PIXEL_STD"):
        shared = plain.MODEL[key].keys() if isinstance(plain.MODEL[key], dict) else None
        mine = {k: ours.MODEL[key][k] for k in shared} if shared else ours.MODEL[key]
        assert plain.MODEL[key] == mine
    theirs, mine = build_model(plain), build_model(ours)
    assert type(theirs) is RetinaNet and plain_train_net.Trainer.build_model.__func__ is (
        DefaultTrainer.build_model.__func__
    )
    assert {k: v.shape for k, v in theirs.state_dict().items()} == {
        k: v.shape for k, v in mine.state_dict().items()
    }


def test_a_command_that_fails_tells_why():
    with pytest.raises(RuntimeError, match="exit code 3:\nnot today"):
        study._call([sys.executable, "-c", "print('not today'); raise SystemExit(3)"])


def test_a_part_on_request_is_not_run_unasked(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(command, "run_part", lambda part, cases: asked.append(part) or [])
    monkeypatch.setattr(command, "write", lambda *_: None)
    command.main(["--output", str(tmp_path)])
    assert asked == list(command.PARTS)
    command.main(["--parts", "study-full", "--output", str(tmp_path)])
    assert asked[-1] == "study_full"


@pytest.mark.slow
def test_the_command_writes_a_page_of_all_parts(tmp_path, monkeypatch, capsys):
    planning = importlib.import_module("benchmarks.planning")
    monkeypatch.setattr(planning, "cases", lambda on_gpu: [SMALL["planning"]])
    assert command.main(["--parts", "planning", "--output", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "planning.json").read_text("utf-8"))["cases"]
    command.write(tmp_path, "loss", "Losses", [])
    page = (tmp_path / "README.md").read_text("utf-8")
    assert page.index("## Losses") < page.index(f"## {planning.TITLE}")
    assert "5 cells" in page


def test_an_unknown_part_is_refused(tmp_path, capsys):
    assert command.main(["--parts", "loss speed", "--output", str(tmp_path)]) == 2
    assert "unknown parts speed; there are: loss, step" in capsys.readouterr().err


@pytest.mark.slow
def test_a_case_that_fails_tells_why_and_the_others_are_run(tmp_path, monkeypatch, capsys):
    planning = importlib.import_module("benchmarks.planning")
    monkeypatch.setattr(planning, "cases", lambda on_gpu: [{"num_cells": 0, "threads": 1}])
    monkeypatch.setattr(evaluation, "cases", lambda on_gpu: [SMALL["evaluation"]])
    words = ["--parts", "planning evaluation", "--output", str(tmp_path)]
    assert command.main(words) == 1
    assert "rows is []: expected a list of length >= 1" in capsys.readouterr().err
    assert not (tmp_path / "planning.json").exists() and (tmp_path / "evaluation.json").is_file()
