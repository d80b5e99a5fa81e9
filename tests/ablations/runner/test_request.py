"""What a run records of its request, and what of it reaches the cells."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

from ablations.runner.run import run
from ablations.storage.layout import Layout


def test_study_file_has_the_request(workplace):
    request = workplace.request(0.5, seeds=2, dataset=Path("data/own"))
    run(request)
    content = json.loads(request.layout.study.read_text(encoding="utf-8"))
    assert (content["study"], content["grids"], content["seeds"]) == ("tiny", ["alpha"], "2")
    assert content["dataset"] == "data/own"
    assert shlex.split(content["command"]) == [
        "make", "ablations", "STUDY=tiny", "GRIDS=alpha", "SCHEDULE=1x", "SEEDS=2",
        "DATASET=data/own",
    ]  # fmt: skip


def test_the_command_in_the_study_file_repeats_an_uncommon_request(workplace):
    layout = Layout(Path("elsewhere/tiny"))
    run(workplace.request(0.5, gpus=2, layout=layout))
    content = json.loads(layout.study.read_text(encoding="utf-8"))
    assert content["command"].endswith(" GPUS=2 OUTPUT=elsewhere")
    request = workplace.request(0.5, engine="slurm")
    assert request.make_arguments()[-1] == "ENGINE=slurm"
    study = replace(request.study, gpus=2)
    assert "GPUS" not in " ".join(replace(request, study=study, gpus=2).make_arguments())
    assert "GPUS=0" in replace(request, study=study).make_arguments()


def test_study_file_has_no_seeds_if_grids_have_their_own(workplace):
    request = workplace.request(0.5)
    study = replace(request.study, more_seeds={"alpha": (1, 2)})
    run(replace(request, study=study))
    content = json.loads(request.layout.study.read_text(encoding="utf-8"))
    assert content["seeds"] == ""
    assert shlex.split(content["command"]) == [
        "make", "ablations", "STUDY=tiny", "GRIDS=alpha", "SCHEDULE=1x",
    ]  # fmt: skip
    assert len(workplace.started()) == 2


def test_a_folder_named_like_a_number_reaches_the_cell_as_a_path(workplace):
    for name, text in (("2017", "./2017"), ("own", "own"), ("/data/2017", "/data/2017")):
        pairs = workplace.request(0.5, dataset=Path(name), weights=Path(name)).data_overrides()
        assert pairs[2:] == ["DATASETS.FOLDER", text, "MODEL.WEIGHTS", text]
