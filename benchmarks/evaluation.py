"""COCO's AP by hotcoco against pycocotools, on the same detections."""

import contextlib
import copy
import io
from functools import partial
from typing import Any

import numpy as np

from benchmarks.harness import Case, Side
from focal_star.evaluation.ap import coco_eval

TITLE = "Evaluation: COCO's AP of boxes"

NUM_CATEGORIES = 80
SIZE = 640


def cases(on_gpu: bool) -> list[dict[str, Any]]:
    """A fifth of COCO's validation set; all of it takes pycocotools a minute per round."""
    return [{"num_images": 1000, "num_detections": 60_000, "threads": 1}]


def build(num_images: int, num_detections: int, threads: int) -> Case:
    """Detections of which about half lie on an object, seven objects per image."""
    truth, results = _synthetic(num_images, num_detections)
    sides = {"this project, hotcoco": "hotcoco", "pycocotools": "pycocotools"}
    return Case(
        title=f"{num_images:,} images, {num_detections:,} detections",
        sides=[Side(name, partial(_evaluate, truth, results, of)) for name, of in sides.items()],
        baseline="pycocotools",
        rounds=3,
        budget_seconds=20,
        warmup=1,
    )


def _evaluate(truth: dict, results: list[dict], backend: str) -> list[float]:
    with contextlib.redirect_stdout(io.StringIO()):
        # pycocotools changes its arguments.
        evaluation = coco_eval(copy.copy(truth), [dict(result) for result in results], backend)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return list(evaluation.stats)


def _synthetic(num_images: int, num_detections: int) -> tuple[dict, list[dict]]:
    rng = np.random.default_rng(0)
    num_objects = 7 * num_images
    image = rng.integers(num_images, size=num_objects)
    size = np.exp(rng.uniform(np.log(8), np.log(300), (num_objects, 2)))
    boxes = np.concatenate([rng.uniform(0, 1, (num_objects, 2)) * (SIZE - size), size], axis=1)
    category = rng.integers(1, NUM_CATEGORIES + 1, num_objects)
    of = rng.integers(num_objects, size=num_detections)
    shift = rng.normal(0, 0.1, (num_detections, 4)) * np.tile(size[of], 2)
    stray = rng.random(num_detections) < 0.5
    detected = boxes[of] + shift * np.where(stray, 10, 1)[:, None]
    detected[:, 2:] = detected[:, 2:].clip(1)
    score = rng.random(num_detections) * np.where(stray, 0.5, 1.0)
    truth = {
        "images": [{"id": i, "width": SIZE, "height": SIZE} for i in range(num_images)],
        "categories": [{"id": c, "name": str(c)} for c in range(1, NUM_CATEGORIES + 1)],
        "annotations": [
            {
                "id": n + 1,
                "image_id": int(image[n]),
                "category_id": int(category[n]),
                "bbox": boxes[n].tolist(),
                "area": float(boxes[n, 2] * boxes[n, 3]),
                "iscrowd": 0,
            }
            for n in range(num_objects)
        ],
    }
    results = [
        {
            "image_id": int(image[of[n]]),
            "category_id": int(category[of[n]]),
            "bbox": detected[n].tolist(),
            "score": float(score[n]),
        }
        for n in range(num_detections)
    ]
    return truth, results
