"""What a cell's evaluation leaves beside its metrics, made up from its AP for tests."""

import random
from typing import Any

import numpy as np

RESAMPLES = 200
MEASURED_IOUS = ("0.50", "0.75", "mean")


def analysis(ap: float, categories: tuple[str, ...] = ("0", "1"), seed: int = 0) -> dict[str, Any]:
    """An entry ``analysis`` of a record, of a detector of this AP (percent)."""
    rng = random.Random(f"{ap} {seed}")
    quality = max(0.0, min(ap / 60, 1.0))
    recall = np.linspace(0, 1, 101)
    reached = {"0.50": min(1.0, 0.2 + quality), "0.75": quality, "mean": 0.1 + 0.8 * quality}
    fppi = np.logspace(-2, 0, 9)
    misses = np.clip(1 - quality * (0.45 + 0.25 * np.log10(100 * fppi)), 0, 1)
    confidence = np.linspace(0.05, 0.95, 10)
    accuracy = confidence * (0.6 + 0.4 * quality)
    counts = [int(9000 * 0.5**n) + rng.randrange(9) for n in range(10)]
    shared = np.random.default_rng(7).normal(0, 0.8, RESAMPLES)  # the images, alike in all cells
    own = np.random.default_rng(int(1000 * ap) + seed).normal(0, 0.3, RESAMPLES)
    return {
        "version": 1,
        "counts": {"images": 40, "instances": 155, "detections": sum(counts)},
        "bootstrap": {
            "images": 40,
            "resamples": RESAMPLES,
            "seed": 0,
            "AP": [round(float(value), 4) for value in np.clip(ap + shared + own, 0, 100)],
        },
        "precision_recall": {
            iou: np.clip(1 - (recall / max(reached[iou], 0.01)) ** 3, 0, 1).round(4).tolist()
            for iou in MEASURED_IOUS
        },
        "tide": {
            "iou": 0.5,
            "background_iou": 0.1,
            "AP50": 1.7 * ap,
            "delta_AP50": {
                "Cls": 14.8, "Loc": 2.7, "Both": 1.6, "Dupe": 0.2, "Bkg": 0.4, "Miss": 2.8,
                "FP": 26.3, "FN": 7.5,
            },
            "counts": {"Cls": 907, "Loc": 124, "Both": 395, "Dupe": 42, "Bkg": 167, "Miss": 8},
        },
        "calibration": {
            "iou": 0.5,
            "ece": round(float(np.average(confidence - accuracy, weights=counts)), 5),
            "mce": round(float(np.max(confidence - accuracy)), 5),
            "bins": [
                {"lower": n / 10, "upper": (n + 1) / 10, "count": counts[n],
                 "confidence": round(float(confidence[n]), 4),
                 "accuracy": round(float(accuracy[n]), 4)}
                for n in range(10)
            ],
        },
        "miss_rate": {
            "iou": 0.5,
            "lamr": round(float(np.exp(np.log(np.maximum(misses, 1e-10)).mean())), 5),
            "fppi": [round(float(x), 5) for x in fppi],
            "miss_rate": [round(float(x), 5) for x in misses],
            "lamr_per_class": {name: round(rng.random(), 4) for name in categories},
        },
        "recall": {
            "iou": 0.5,
            "all": round(0.5 + quality / 2, 4),
            "small": round(0.4 + quality / 2, 4),
            "medium": round(0.5 + quality / 2, 4),
            "large": None,
            "at_precision": {"precision": 0.9, "recall": round(quality / 2, 4), "score": 0.61},
        },
        "worst_misses": [
            {"image_id": 7, "file_name": "000007.png", "category": categories[0],
             "bbox": [10.0, 20.0, 40.0, 60.0], "area": 2400.0, "best_score": 0.02,
             "best_iou": 0.31},
        ],
    }  # fmt: skip


def loss_distribution() -> dict[str, Any]:
    """An entry ``loss_distribution`` of a record: histograms of logit(p_t)."""
    rng = np.random.default_rng(0)
    edges = np.linspace(-20, 20, 801)
    found = {}
    for name, centre, number in (("foreground", -0.5, 8_000), ("background", 4.5, 15_000_000)):
        sample = np.histogram(rng.normal(centre, 1.5, 20_000), edges)[0]
        bins = np.flatnonzero(sample)
        found[name] = {
            "bins": bins.tolist(), "counts": (sample[bins] * number // 20_000).tolist()
        }  # fmt: skip
    return {"version": 1, "low": -20.0, "high": 20.0, "num_bins": 800, "images": 40} | found


def validation(iterations: list[int], loss: float = 1.0) -> dict[str, list[float]]:
    """An entry ``validation`` of a record: losses on validation images while it trained."""
    losses = [loss * 0.8**n for n in range(len(iterations))]
    return {
        "iteration": iterations,
        "loss_cls": losses,
        "loss_box_reg": [0.5 * value for value in losses],
    }
