"""AP of a trained model on each half of the validation images.

One half selects among settings, and the other reports. The best of several settings is biased
upwards on the images of the selection (Cawley and Talbot, "On Over-fitting in Model Selection and
Subsequent Selection Bias in Performance Evaluation", JMLR 11, 2010). On the other half it is
unbiased if it is also trained again with seeds that were not used for the selection.
"""

import hashlib
from collections.abc import Collection, Sequence
from typing import Any, TypeAlias

import numpy as np

from focal_star.errors import ConfigError
from focal_star.evaluation.analysis import analyse, bootstrap
from focal_star.evaluation.ap import (
    MAX_DETECTIONS,
    coco_eval,
    essentials,
    metrics_of,
)
from focal_star.evaluation.matches import find_matches
from focal_star.evaluation.metric_names import AP_METRICS

SELECTION, REPORTING = "selection", "reporting"

Content: TypeAlias = dict[str, Any]
Results: TypeAlias = list[dict[str, Any]]


def halves_of(image_ids: Collection[int], seed: int) -> dict[str, list[int]]:
    """Divide images by a hash of their id.

    The images are sorted by SHA-256 of ``<seed>:<id>``, and the first half selects. With an odd
    number of images, the reporting half has one more. The order of ``image_ids`` has no effect.

    Args:
        image_ids: the ids of the validation images, each once.
        seed: determines how the images are divided.

    Returns:
        ``SELECTION`` and ``REPORTING`` -> ids, ascending.

    Raises:
        ConfigError: there are fewer than two images.
    """
    if len(image_ids) < 2:
        raise ConfigError(
            f"the validation split has {len(image_ids)} images; one half selects settings and the "
            "other reports them, so at least 2 are needed"
        )
    mixed = sorted(
        image_ids, key=lambda image_id: hashlib.sha256(f"{seed}:{image_id}".encode()).digest()
    )
    half = len(mixed) // 2
    return {SELECTION: sorted(mixed[:half]), REPORTING: sorted(mixed[half:])}


def on_halves(
    content: Content,
    results: Results,
    seed: int,
    resamples: int,
    whole: bool = False,
    max_detections: int = MAX_DETECTIONS,
) -> dict[str, Any]:
    """Evaluate detections on each half of the images as if it were the validation split.

    Args:
        content: the validation split, in COCO's format.
        results: the detections on it, in COCO's format.
        seed: divides the images.
        resamples: the number of resamples of each half's images; 0 for none.
        whole: whether the reporting half gets the full analysis.
        max_detections: see :func:`focal_star.evaluation.ap.coco_eval`.

    Returns:
        For ``SELECTION`` and ``REPORTING``: ``images`` (the number of images), and, as in a
        record's result, ``metrics`` and ``per_class_AP`` (percent, None where undefined) and
        ``analysis``, which has only ``bootstrap`` unless ``whole`` asks for more.

    Raises:
        ConfigError: there are fewer than two images.
    """
    divided = halves_of([image["id"] for image in content["images"]], seed)
    return {
        half: _on_half(
            *_part(content, results, set(ids)),
            resamples,
            whole and half == REPORTING,
            max_detections,
        )
        for half, ids in divided.items()
    }


def _on_half(
    content: Content, results: Results, resamples: int, whole: bool, max_detections: int
) -> dict[str, Any]:
    evaluation = coco_eval(essentials(content), results, max_detections=max_detections)
    evaluation.evaluate()
    evaluation.accumulate()
    metrics = {
        name: round(100 * float(value), 5) if value >= 0 else None
        for name, value in zip(AP_METRICS, metrics_of(evaluation, max_detections), strict=False)
    }
    per_class = _per_class(evaluation, content["categories"])
    if whole:
        analysis = analyse(content, results, resamples, max_detections=max_detections)
    else:
        drawn = bootstrap(find_matches(evaluation), resamples) if resamples else None
        analysis = {"bootstrap": drawn}
    return {
        "images": len(content["images"]),
        "metrics": metrics,
        "per_class_AP": per_class,
        "analysis": analysis,
    }


def _part(content: Content, results: Results, ids: set[int]) -> tuple[Content, Results]:
    """The images with these ids, and their annotations."""

    def on_them(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return [entry for entry in entries if entry["image_id"] in ids]

    images = [image for image in content["images"] if image["id"] in ids]
    annotations = on_them(content["annotations"])
    return content | {"images": images, "annotations": annotations}, on_them(results)


def _per_class(evaluation, categories: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """Category -> AP in percent as Detectron2 reports it; empty for a single category."""
    if len(categories) < 2:
        return {}
    names = {category["id"]: category["name"] for category in categories}
    aps = {}
    for place, category in enumerate(evaluation.params.catIds):
        precision = evaluation.eval["precision"][:, :, place, 0, -1]
        defined = precision[precision > -1]
        aps[names[category]] = round(100 * float(np.mean(defined)), 5) if defined.size else None
    return aps
