"""The analysis of detections beyond AP: bootstrap, error types, calibration, misses.

Precision, recall, miss rates and other fractions are 0..1; AP and its differences are percent.
Undefined numbers are None. COCOeval matches detections and objects of one category from an IoU of
``IOU`` on; crowds are not objects.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.data import MetadataCatalog
from detectron2.utils.file_io import PathManager

from focal_star.evaluation.ap import MAX_DETECTIONS, coco_eval, essentials
from focal_star.evaluation.matches import MATCHES_FILE, Matches, find_matches, write_matches
from focal_star.evaluation.miss_rate import REFERENCE_FPPI, log_average, miss_rates
from focal_star.evaluation.recall import recall_at_precision, recall_by_size, worst_misses
from focal_star.evaluation.resampling import SEED, average_precision, image_weights

VERSION = 1
IOU = 0.5
BACKGROUND_IOU = 0.1
"""TIDE: a detection with a lower IoU is a background error."""

MIN_PRECISION = 0.9
"""The precision at which recall is reported."""

TIDE_ERRORS = ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss")
TIDE_SPECIAL = ("FP", "FN")
NUM_BINS = 10


def analyse_dataset(
    dataset_name: str,
    results_file: Path,
    resamples: int,
    max_detections: int = MAX_DETECTIONS,
) -> dict[str, Any]:
    """:func:`analyse` of a registered data set and of the detections that its evaluation wrote.

    The matches are written beside the detections, as ``MATCHES_FILE``.

    Args:
        dataset_name: the name of a data set that
            :class:`focal_star.evaluation.ap.APEvaluator` evaluated.
        results_file: its ``RESULTS_FILE``.
        resamples: the number of resamples of the images; 0 for none.
        max_detections: see :func:`focal_star.evaluation.ap.coco_eval`.
    """
    path = PathManager.get_local_path(MetadataCatalog.get(dataset_name).json_file)
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    matches_file = results_file.with_name(MATCHES_FILE)
    return analyse(content, results_file, resamples, matches_file, max_detections)


def analyse(
    content: dict[str, Any],
    results: list[dict[str, Any]] | Path,
    resamples: int,
    matches_file: Path | None = None,
    max_detections: int = MAX_DETECTIONS,
) -> dict[str, Any]:
    """Analyse detections. hotcoco matches them, even if pycocotools computes the AP.

    Args:
        content: the data set, in COCO's format.
        results: the detections, in COCO's format, or a file of them.
        resamples: the number of resamples of the images, for ``bootstrap``; 0 for none.
        matches_file: where the matches at ``IOU`` are written, see
            :func:`focal_star.evaluation.matches.write_matches`; None for nowhere.
        max_detections: see :func:`focal_star.evaluation.ap.coco_eval`.

    Returns:
        Plain values, None for undefined ones:

        - ``counts``: ``images``, ``instances`` (objects without crowds), ``detections`` (at most
          ``max_detections`` per image and category).
        - ``bootstrap``: ``AP`` of resamples of the images, see
          :mod:`focal_star.evaluation.resampling`; None without resamples.
        - ``precision_recall``: for the IoU thresholds "0.50", "0.75" and "mean" (over all, 0.50
          to 0.95) COCOeval's precision at the recalls 0, .01 .. 1, mean over categories with
          objects.
        - ``tide``: the rise of AP50 if one type of error were fixed, and the number of errors
          (Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection Errors",
          arXiv:2008.08115, sections 2.2 and 2.3), by hotcoco.
        - ``calibration``: the expected and the maximum calibration error of the scores over equal
          bins (Guo et al., "On Calibration of Modern Neural Networks", arXiv:1706.04599,
          equations 3 and 5; the confidence is a detection's score, the accuracy is whether it
          is true), by hotcoco.
        - ``miss_rate``: at nine numbers of false positives per image, mean over categories with
          objects, and its log-average; see :mod:`focal_star.evaluation.miss_rate`.
        - ``recall``, ``worst_misses``: see :mod:`focal_star.evaluation.recall`.
    """
    truth = essentials(content)
    evaluation = coco_eval(truth, results, max_detections=max_detections)
    evaluation.evaluate()
    evaluation.accumulate()
    parts = {
        "precision_recall": _precision_recall(evaluation),
        "tide": _tide(evaluation),
        "calibration": _calibration(evaluation),
    }
    matches = find_matches(evaluation)
    if matches_file:
        write_matches(matches_file, matches, len(evaluation.cocoDt.getAnnIds()), IOU)
    area = np.array([annotation["area"] for annotation in truth["annotations"]], float)
    recall, score = recall_at_precision(matches, MIN_PRECISION, IOU)
    return {
        "version": VERSION,
        "counts": {
            "images": len(matches.image_ids),
            "instances": len(matches.object_id),
            "detections": len(matches.score),
        },
        "bootstrap": bootstrap(matches, resamples) if resamples else None,
        **parts,
        "miss_rate": _miss_rate(matches, truth),
        "recall": {
            "iou": IOU,
            **_rounded(recall_by_size(matches, area[matches.object_id - 1], IOU)),
            "at_precision": _rounded(
                {"precision": MIN_PRECISION, "recall": recall, "score": score}
            ),
        },
        "worst_misses": [
            {**miss, "bbox": _rounded(miss["bbox"], 2), "area": _rounded(miss["area"], 1),
             "best_score": _rounded(miss["best_score"]), "best_iou": _rounded(miss["best_iou"])}
            for miss in worst_misses(
                matches, truth | {"images": content["images"]}, evaluation.cocoDt, IOU
            )
        ],
    }  # fmt: skip


def bootstrap(matches: Matches, resamples: int) -> dict[str, Any]:
    """AP on resamples of the images; see :mod:`focal_star.evaluation.resampling`."""
    weights = image_weights(len(matches.image_ids), resamples)
    return {
        "images": len(matches.image_ids),
        "resamples": resamples,
        "seed": SEED,
        "AP": _rounded(100 * average_precision(matches, weights).mean(axis=1), 4),
    }


def _precision_recall(evaluation) -> dict[str, list[float | None]]:
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # T, R, K; -1 without objects
    with_objects = precision[..., (precision > -1).all(axis=(0, 1))]
    if not with_objects.size:
        with_objects = np.full((*precision.shape[:2], 1), np.nan)
    means = with_objects.mean(axis=2)
    ious = list(np.round(evaluation.params.iouThrs, 2))
    curves = {"0.50": means[ious.index(0.5)], "0.75": means[ious.index(0.75)]}
    curves["mean"] = means.mean(axis=0)
    return {name: _rounded(values, 4) for name, values in curves.items()}


def _tide(evaluation) -> dict[str, Any]:
    errors = evaluation.tide_errors(pos_thr=IOU, bg_thr=BACKGROUND_IOU)
    delta = {name: 100 * errors["delta_ap"][name] for name in TIDE_ERRORS + TIDE_SPECIAL}
    return {
        "iou": IOU,
        "background_iou": BACKGROUND_IOU,
        "AP50": _rounded(100 * errors["ap_base"], 4),
        "delta_AP50": _rounded(delta, 4),
        "counts": {name: errors["counts"][name] for name in TIDE_ERRORS},
    }


def _calibration(evaluation) -> dict[str, Any]:
    calibration = evaluation.calibration(n_bins=NUM_BINS, iou_threshold=IOU)
    none = calibration["num_detections"] == 0
    return {
        "iou": IOU,
        "ece": None if none else _rounded(calibration["ece"]),
        "mce": None if none else _rounded(calibration["mce"]),
        "bins": [
            {
                "lower": _rounded(row["bin_lower"]),
                "upper": _rounded(row["bin_upper"]),
                "count": row["count"],
                "confidence": _rounded(row["avg_confidence"]) if row["count"] else None,
                "accuracy": _rounded(row["avg_accuracy"]) if row["count"] else None,
            }
            for row in calibration["bins"]
        ],
    }


def _miss_rate(matches: Matches, truth: dict[str, Any]) -> dict[str, Any]:
    rates = miss_rates(matches, IOU)
    averages = log_average(rates)
    names = {category["id"]: category["name"] for category in truth["categories"]}
    defined = ~np.isnan(averages)
    if not defined.any():
        rates, averages, defined = rates * np.nan, averages * np.nan, ~defined
    return {
        "iou": IOU,
        "lamr": _rounded(averages[defined].mean()),
        "fppi": _rounded(REFERENCE_FPPI),
        "miss_rate": _rounded(rates[defined].mean(axis=0)),
        "lamr_per_class": {
            names[category]: _rounded(average)
            for category, average in zip(matches.category_ids.tolist(), averages, strict=True)
        },
    }


def _rounded(value: Any, digits: int = 5) -> Any:
    """A number, or those of an array, a list or a dictionary, as JSON has them: NaN is None."""
    if isinstance(value, dict):
        return {key: _rounded(item, digits) for key, item in value.items()}
    if isinstance(value, list | np.ndarray):
        return [_rounded(item, digits) for item in value]
    return round(float(value), digits) if math.isfinite(value) else None
