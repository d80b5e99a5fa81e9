"""COCO's average precision, by hotcoco or by pycocotools."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from detectron2.evaluation import COCOEvaluator

RESULTS_FILE = "coco_instances_results.json"

MAX_DETECTIONS = 100
"""Per image and category, COCO's number."""


class APEvaluator(COCOEvaluator):
    """Detectron2's COCOEvaluator for boxes with a choice of the backend.

    hotcoco and pycocotools give the same numbers; hotcoco takes seconds where pycocotools takes
    a minute.
    """

    def __init__(
        self,
        dataset_name: str,
        output_dir: str | None = None,
        backend: str = "hotcoco",
        max_detections: int = MAX_DETECTIONS,
    ):
        """
        Args:
            dataset_name: a registered data set in COCO's format.
            output_dir: where ``RESULTS_FILE`` is written; None for nowhere.
            backend: "hotcoco" or "pycocotools".
            max_detections: per image and category, ``TEST.DETECTIONS_PER_IMAGE``.
        """
        super().__init__(dataset_name, ("bbox",), True, output_dir)
        # Detectron2 would also write the detections as a pickle.
        self._folder, self._output_dir = output_dir, None
        self._backend, self._max_detections = backend, max_detections

    def _eval_predictions(self, predictions: list[dict], img_ids: list[int] | None = None) -> None:
        """Fill ``self._results["bbox"]`` with AP, AP50, AP75, APs, APm, APl and AP-<class>, %."""
        to_dataset_id = {
            contiguous: dataset_id
            for dataset_id, contiguous in self._metadata.thing_dataset_id_to_contiguous_id.items()
        }
        results = list(itertools.chain(*(p["instances"] for p in predictions)))
        for result in results:
            result["category_id"] = to_dataset_id[result["category_id"]]
        if self._folder:
            path = Path(self._folder) / RESULTS_FILE
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(results), encoding="utf-8")
        self._results["bbox"] = self._derive_coco_results(
            self._evaluate(results, img_ids), "bbox", self._metadata.get("thing_classes")
        )

    def _evaluate(self, results: list[dict], img_ids: list[int] | None) -> SimpleNamespace:
        """What Detectron2 reads of a finished COCOeval of these detections."""
        truth = essentials(self._coco_api.dataset)
        evaluation = coco_eval(truth, results, self._backend, self._max_detections)
        if img_ids is not None:
            evaluation.params.imgIds = img_ids
        evaluation.evaluate()
        evaluation.accumulate()
        return SimpleNamespace(
            stats=metrics_of(evaluation, self._max_detections), eval=evaluation.eval
        )


def metrics_of(evaluation, max_detections: int = MAX_DETECTIONS) -> Sequence[float]:
    """``AP_METRICS`` of an accumulated COCOeval, then others; 0..1, or -1 without an object.

    Args:
        evaluation: what :func:`coco_eval` returned, after ``evaluate`` and ``accumulate``.
        max_detections: see :func:`coco_eval`.
    """
    if max_detections <= MAX_DETECTIONS:
        evaluation.summarize()  # which knows no other number of detections
        return evaluation.stats
    precision, ious = np.asarray(evaluation.eval["precision"]), evaluation.params.iouThrs
    areas = list(evaluation.params.areaRngLbl)
    parts = [precision[..., areas.index("all"), -1]]
    parts += [parts[0][np.isclose(ious, iou)] for iou in (0.5, 0.75)]
    parts += [precision[..., areas.index(size), -1] for size in ("small", "medium", "large")]
    return [float(part[part > -1].mean()) if (part > -1).any() else -1.0 for part in parts]


def coco_eval(
    truth: dict,
    results: list[dict] | Path,
    backend: str = "hotcoco",
    max_detections: int = MAX_DETECTIONS,
):
    """A COCOeval of boxes before its evaluation. Without detections, AP is 0.

    Args:
        truth: what :func:`essentials` returned.
        results: detections in COCO's format, or, for hotcoco, a file of them: it reads them faster
            than Python does.
        backend: "hotcoco" or "pycocotools".
        max_detections: how many detections per image and category count; at least COCO's 100.
    """
    if backend == "hotcoco":
        from hotcoco import COCO, COCOeval
    else:  # of the same interface, which the types do not know
        from pycocotools.coco import COCO  # type: ignore[no-redef]
        from pycocotools.cocoeval import COCOeval  # type: ignore[no-redef]

    coco = _indexed(COCO(), truth)
    if isinstance(results, Path):
        detections = coco.loadRes(str(results))
    elif results:
        detections = coco.loadRes(results)
    else:
        detections = _indexed(COCO(), truth | {"annotations": []})
    evaluation = COCOeval(coco, detections, "bbox")
    if max_detections > MAX_DETECTIONS:
        evaluation.params.maxDets = [1, 10, max_detections]
    return evaluation


def _indexed(coco, content: dict):
    """A COCO object of either backend with this content."""
    coco.dataset = content
    coco.createIndex()
    return coco


def essentials(content: dict) -> dict:
    """The parts of a COCO file that AP needs, in a form that both backends read alike.

    hotcoco refuses files with unexpected types of unused keys; pycocotools needs ``area`` and
    ``iscrowd`` in every annotation and takes a match with the id 0 for no match. Therefore the
    annotations get the ids 1, 2, ...
    """
    annotations = []
    for number, annotation in enumerate(content["annotations"], start=1):
        x, y, width, height = annotation["bbox"]
        annotations.append(
            {
                "id": number,
                "image_id": annotation["image_id"],
                "category_id": annotation["category_id"],
                "bbox": [x, y, width, height],
                "area": annotation.get("area", width * height),
                "iscrowd": annotation.get("iscrowd", 0),
            }
        )
    images = [{key: image[key] for key in ("id", "width", "height")} for image in content["images"]]
    categories = [{key: c[key] for key in ("id", "name")} for c in content["categories"]]
    return {"images": images, "annotations": annotations, "categories": categories}
