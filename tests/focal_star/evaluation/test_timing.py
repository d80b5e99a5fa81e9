"""The timer of inference, on a clock that the test sets."""

from pathlib import Path

import pytest
import torch
from torch import nn

from focal_star.evaluation import timing
from focal_star.evaluation.timing import InferenceTimer
from focal_star.training import engine


class Detector(nn.Module):
    """Takes the next of some durations, in seconds, on a clock of its own."""

    def __init__(self, durations: list[float]):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.durations, self.now = iter(durations), 0.0

    def forward(self, images: list) -> list:
        self.now += next(self.durations)
        return images


def evaluated(monkeypatch: pytest.MonkeyPatch, durations: list[float]) -> dict:
    model = Detector(durations).eval()
    monkeypatch.setattr(timing.time, "perf_counter", lambda: model.now)
    timer = InferenceTimer(model)
    for number in range(len(durations)):
        model([{"image": number}])
        model.now += 100.0  # what is done between two images
    return timer.report()


def test_the_median_leaves_out_warm_up_and_what_lies_between(monkeypatch):
    report = evaluated(monkeypatch, [9.0] * 10 + [0.002, 0.004, 0.5])
    assert report.pop("ms_per_image") == pytest.approx(4.0)
    assert report == {"timed_images": 3, "warmup_images": 10}


def test_too_few_images_have_no_time(monkeypatch):
    report = evaluated(monkeypatch, [0.1] * 10)
    assert report == {"ms_per_image": None, "timed_images": 0, "warmup_images": 10}


def test_training_is_not_timed(monkeypatch):
    model = Detector([0.5] * 5 + [0.1] * 11)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: model.now)
    timer = InferenceTimer(model.train())
    for _ in range(5):
        model([{}])
    model.eval()
    for _ in range(11):
        model([{}])
    assert timer.report()["timed_images"] == 1
    assert timer.report()["ms_per_image"] == pytest.approx(100.0)


def test_a_batch_is_not_timed(monkeypatch):
    model = Detector([0.1] * 20).eval()
    monkeypatch.setattr(timing.time, "perf_counter", lambda: model.now)
    timer = InferenceTimer(model)
    for _ in range(20):
        model([{}, {}])
    assert timer.report()["timed_images"] == 0


def test_a_training_reports_the_time_of_its_evaluation(tiny_cfg, monkeypatch):
    monkeypatch.setattr(timing, "WARMUP_IMAGES", 3)
    engine.prepare_data_and_weights(tiny_cfg)
    Path(tiny_cfg.OUTPUT_DIR).mkdir()
    run = engine.train(tiny_cfg)["run"]
    assert run["timed_images"] == 8 - 3 and run["warmup_images"] == 3
    assert 0 < run["ms_per_image"] * 5 / 1000 < run["eval_seconds"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpus_work_is_waited_for():
    class Slow(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, cycles: list[int]) -> None:
            torch.cuda._sleep(*cycles)

    model = Slow().cuda().eval()
    medians = []
    for cycles in (10**4, 10**8):
        timer = InferenceTimer(model)
        for _ in range(13):
            model([cycles])
        medians.append(timer.report()["ms_per_image"])
    assert medians[1] > 100 * medians[0]
