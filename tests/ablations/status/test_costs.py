"""The estimated cost of a study's remaining cells, by records and by the model zoo."""

import json
from pathlib import Path

import pytest

from ablations.identity.prepared import PrepareError, written_config
from ablations.records.record import save
from ablations.status import cost_model, costs
from ablations.status.costs import Estimate, Kind, estimate
from ablations.status.running_cells import gpus_of
from ablations.status.status import Status
from ablations.storage.layout import Layout
from ablations.study.cell import Setting
from ablations.study.grid import Grid, Row
from ablations.study.study import Study, load_study

BASE = {"depth": 18, "scale": 100}
COCO = {"depth": 50, "scale": 600}
FULL = {"SOLVER.MAX_ITER": 90_000, "SOLVER.IMS_PER_BATCH": 16}


@pytest.fixture
def status_of(make_record):
    """A function that returns the status of a study of these settings, some with records."""

    def status_of(base, settings, records=()):
        rows = tuple(Row({}, Setting.of(base, **setting)) for setting in settings)
        study = Study("tiny", "", "tiny.yaml", "", (Grid("all", "", (), rows),), (1,), base=base)
        states = dict.fromkeys(study.cells(), "missing")
        found = {}
        for cell, changes in zip(study.cells(), records, strict=False):
            if changes:
                states[cell] = "stale" if changes.pop("stale", False) else changes["status"]
                found[cell.id] = make_record(
                    cell=cell.id, setting=cell.setting.as_dict(), **changes
                )
        return Status(study, states, found, [], {})

    return status_of


def measured(seconds, disk=1e6, iterations=100, status="done", **changes):
    return {
        "status": status,
        "run": {"wall_seconds": seconds, "train_seconds": seconds / 2, "disk_bytes": disk},
        "result": {"metrics": {"AP": 20.0}, "iterations": iterations},
        **changes,
    }


def fl(**values):
    return {"loss": "focal", "alpha": 0.25, "gamma": 2.0, **values}


def test_similar_cells_have_the_measured_cost(status_of):
    settings = [fl(alpha=a) for a in (0.1, 0.2, 0.3, 0.4)]
    settings += [fl(alpha=a, depth=34) for a in (0.1, 0.2)]
    records = [measured(10.0), measured(20.0), measured(90.0), None, measured(50.0, disk=5e6)]
    found = estimate(status_of(BASE, settings, records))
    # To run are one that costs as the first three (median 20 s), and one as the deep one (50 s).
    assert (found.cells, found.measured, found.zoo) == (2, 4, False)
    assert found.seconds == pytest.approx(20 + 50)
    assert found.disk_bytes == pytest.approx(1e6 + 5e6)
    # Training takes half of the time, 100 iterations: .05, .1, .45 and .25 s an iteration.
    assert found.seconds_per_iteration == pytest.approx((0.1 + 0.25) / 2)
    assert found.kinds == (
        Kind("retinanet", 18, 100, 1, 20.0, 1),
        Kind("retinanet", 34, 100, 1, 50.0, 1),
    )


def test_cost_scales_with_pixels(status_of):
    settings = [fl(), fl(depth=34), fl(scale=50), fl(scale=200, depth=34), fl(scale=200, depth=99)]
    found = estimate(status_of(BASE, settings, [measured(10.0), measured(30.0)]))
    # A quarter of 10 s; four times 30 s; and, for a depth of which nothing is known, four times
    # the median of what both say of 100 px, (10 + 30) / 2.
    assert [kind.seconds for kind in found.kinds] == pytest.approx([2.5, 120.0, 80.0])
    assert [kind.measured for kind in found.kinds] == [0, 0, 0]


@pytest.mark.parametrize(("iterations", "seconds"), [(100, 10.0), (200, 5.0), (50, 20.0)])
def test_cost_scales_with_iterations(status_of, iterations, seconds):
    record = measured(10.0, iterations=iterations, stale=True)
    found = estimate(status_of(BASE, [fl()], [record]), {"SOLVER.MAX_ITER": 100})
    assert found.seconds == pytest.approx(seconds)


def test_unknown_scale_is_not_scaled(status_of):
    settings = [fl(), fl(scale=50)]
    found = estimate(status_of({}, settings, [measured(10.0)]))
    assert found.seconds == pytest.approx(10.0)


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_only_done_cells_are_measurements(status_of, status):
    settings = [fl(alpha=a) for a in (0.1, 0.2, 0.3)]
    without_times = measured(1.0, run={})
    found = estimate(status_of(BASE, settings, [measured(1.0, status=status), without_times]))
    assert (found.seconds, found.disk_bytes, found.measured) == (None, None, 0)
    # A stale one tells what it took.
    found = estimate(status_of(BASE, settings[:2], [measured(7.0, stale=True)]))
    assert found.seconds == pytest.approx(14.0)


def test_nothing_is_estimated_if_all_is_done(status_of):
    found = estimate(status_of(BASE, [fl()], [measured(10.0)]))
    assert (found.cells, found.seconds, found.disk_bytes, found.kinds) == (0, 0, 0, ())


def test_the_zoos_seconds_are_scaled_by_pixels(status_of):
    found = estimate(status_of(COCO, [fl()]), FULL, gpus=8)
    # 640 to 800 px have a mean of 521388 square px, 600 px have 360000: 0.6905 of them. So 0.205 s
    # are 0.14155 s, and 90000 of them 12739 s. 5000 images of (600 / 800) ^ 2 x 0.041 s on 8 GPUs
    # are 14 s.
    assert found.seconds == pytest.approx(12_739 + 14, abs=2)
    assert found.zoo and found.measured == 0 and found.seconds_per_iteration is None


def test_gpu_hours_do_not_depend_on_the_number_of_gpus(status_of):
    status = status_of(COCO, [fl(), fl(depth=101), fl(scale=800)])
    on_one, on_four = (estimate(status, FULL, gpus=gpus) for gpus in (1, 4))
    assert on_one.seconds == pytest.approx(4 * on_four.seconds)
    shallow, large, deep = (kind.seconds for kind in on_one.kinds)
    assert deep / shallow == pytest.approx(0.291 / 0.205, rel=0.01)
    assert large / shallow == pytest.approx(800**2 / 600**2)


def test_half_the_images_and_iterations_are_a_quarter_of_the_work(status_of):
    status = status_of(COCO, [fl()])
    less = {"SOLVER.MAX_ITER": 45_000, "SOLVER.IMS_PER_BATCH": 8}
    ours, zoo = (estimate(status, config, 1, 1) for config in (less, FULL))
    assert ours.seconds == pytest.approx(zoo.seconds / 4, rel=1e-4)


def test_measured_cell_calibrates_the_zoo_times(status_of):
    settings = [fl(), fl(alpha=0.5), fl(depth=101), fl(detector="faster_rcnn")]
    by_zoo = estimate(status_of(COCO, settings), FULL, gpus=8)
    of_kind = {(kind.detector, kind.depth): kind.seconds for kind in by_zoo.kinds}
    # On 4 GPUs it took twice the time that the zoo's 8 take: as fast, GPU for GPU.
    on_four = {"command": "train_net.py --num-gpus 4 X", "iterations": 90_000}
    same = measured(2 * of_kind["retinanet", 50], **on_four)
    found = estimate(status_of(COCO, settings, [same]), FULL, gpus=8)
    assert found.seconds == pytest.approx(by_zoo.seconds - of_kind["retinanet", 50])
    # Half of that: twice as fast, for the others too.
    fast = measured(of_kind["retinanet", 50], **on_four)
    found = estimate(status_of(COCO, settings, [fast]), FULL, gpus=8)
    assert found.seconds == pytest.approx((by_zoo.seconds - of_kind["retinanet", 50]) / 2)
    assert [kind.measured for kind in found.kinds] == [1, 0, 0]


@pytest.mark.parametrize(
    ("command", "gpus"),
    [
        ("python train_net.py --config-file x.yaml", 1),
        ("python train_net.py --num-gpus 8 SEED 1", 8),
        ("python train_net.py --num-gpus=2", 2),
        ("python train_net.py --num-gpus 0", 1),
    ],
)
def test_gpus_of_a_command(command, gpus):
    assert gpus_of(command) == gpus


def test_unknown_iterations_give_no_estimate(status_of):
    assert estimate(status_of(COCO, [fl()]), {}, gpus=8).seconds is None
    assert estimate(status_of(BASE, [fl()]), FULL, gpus=8).seconds is None, "no such model"


def test_disk(status_of):
    status = status_of(COCO, [fl(), fl(depth=101)])
    found = estimate(status, FULL, gpus=8, test_images=1000)
    weights = [cost_model.WEIGHTS_BYTES["retinanet", depth] for depth in (50, 101)]
    detections = 1000 * 100 * cost_model.BYTES_PER_DETECTION
    assert found.disk_bytes == sum(weights) + 2 * detections
    # The larger one, while it trains: three checkpoints of weights and momentum.
    assert found.running_bytes == 3 * 2 * weights[1]
    assert estimate(status_of(BASE, [fl()], [None]), FULL).running_bytes == 0


@pytest.mark.parametrize("name", ["mini", "coco"])
def test_the_studys_own_config_is_read_without_the_package(name):
    study = load_study(name)
    config = written_config(study)
    for key in ("SOLVER.MAX_ITER", "SOLVER.IMS_PER_BATCH"):
        assert type(config[key]) is int, key
    # What a file writes goes before what its base does.
    assert config["INPUT.SHORT_EDGE"] == study.base["scale"]
    assert config["MODEL.RESNETS.DEPTH"] == study.base["depth"]
    names = {"mini": "CachedRetinaNet", "coco": "FocalStarRetinaNet"}
    assert config["MODEL.META_ARCHITECTURE"] == names[name]


def test_study_without_a_config_file_is_refused():
    study = Study("tiny", "", "nowhere.yaml", "", (), (1,))
    with pytest.raises(PrepareError, match="nowhere.yaml"):
        written_config(study)


def test_the_whole_coco_study(status_of):
    study = load_study("coco")
    status = Status(study, dict.fromkeys(study.cells(), "missing"), {}, [], {})
    found: Estimate = estimate(status, written_config(study), study.gpus)
    assert found.cells == len(study.cells()) and found.zoo
    assert sum(kind.cells for kind in found.kinds) == found.cells
    assert None not in (found.seconds, found.disk_bytes)
    names = {(kind.detector, kind.depth) for kind in found.kinds}
    assert names <= cost_model.zoo_models().keys() == cost_model.WEIGHTS_BYTES.keys()


@pytest.mark.parametrize(("detector", "depth"), cost_model.WEIGHTS_BYTES)
def test_the_sizes_of_weights_are_those_of_the_models(detector, depth):
    from detectron2.modeling import build_model

    from focal_star.config import CONFIGS, load_config

    pairs = ["MODEL.DETECTOR", detector, "MODEL.RESNETS.DEPTH", str(depth), "MODEL.DEVICE", "cpu"]
    model = build_model(load_config(CONFIGS / "coco" / "retinanet_FPN_1x.yaml", pairs))
    size = sum(tensor.nbytes for tensor in model.state_dict().values())
    assert cost_model.WEIGHTS_BYTES[detector, depth] == pytest.approx(size, rel=0.01)


def test_the_size_of_a_detection(tmp_path):
    """The evaluation writes a detection as JSON and with torch."""
    import torch

    torch.manual_seed(0)
    many = [
        {
            "image_id": image,
            "instances": [
                {"image_id": image, "category_id": image % 80 + 1, "bbox": box, "score": score}
                for *box, score in torch.rand(100, 5).mul(500).tolist()
            ],
        }
        for image in range(20)
    ]
    torch.save(many, tmp_path / "all.pth")
    written = Path(tmp_path / "all.pth").stat().st_size
    written += len(json.dumps([one for image in many for one in image["instances"]]))
    assert written / 2000 == pytest.approx(cost_model.BYTES_PER_DETECTION, rel=0.15)


def test_cost_scales_with_the_schedule(status_of):
    settings = [fl(), fl(schedule=0.5), fl(schedule=2.0)]
    found = estimate(status_of(BASE, settings, [measured(10.0)]), {"SOLVER.MAX_ITER": 100})
    assert found.seconds == pytest.approx(5 + 20)


def test_a_published_report_is_used_while_nothing_is_measured(
    status_of, make_record, tmp_path, monkeypatch
):
    monkeypatch.setattr(costs, "PUBLISHED", tmp_path)
    assert estimate(status_of(BASE, [fl()])).seconds is None
    folder = Layout(tmp_path / "tiny")
    folder.records.mkdir(parents=True)
    save(make_record(cell="a", setting=fl(), **measured(30.0)), folder.record("a"))
    found = estimate(status_of(BASE, [fl()]), {"SOLVER.MAX_ITER": 100})
    assert (found.seconds, found.measured) == (pytest.approx(30.0), 1)
    # A measurement here counts alone.
    found = estimate(status_of(BASE, [fl(), fl(alpha=0.5)], [measured(7.0)]))
    assert found.seconds == pytest.approx(7.0)


def test_the_time_at_1x_is_in_proportion(status_of):
    settings = [fl(schedule=0.25), fl(schedule=0.5), fl(alpha=0.5, schedule=0.5)]
    found = status_of(BASE, settings, [measured(10.0), measured(10.0), None])
    assert costs.seconds_at_1x(found) == pytest.approx(40 + 20)
