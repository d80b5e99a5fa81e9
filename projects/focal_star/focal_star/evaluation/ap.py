"""COCO's average precision, by hotcoco or by pycocotools."""

import itertools
import json
from pathlib import Path

from detectron2.evaluation import COCOEvaluator

RESULTS_FILE = "coco_instances_results.json"

METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
"""COCOeval's first six numbers."""


class APEvaluator(COCOEvaluator):
    """Detectron2's COCOEvaluator for boxes with a choice of the backend.

    hotcoco and pycocotools give the same numbers; hotcoco takes seconds where pycocotools takes
    a minute.
    """

    def __init__(self, dataset_name: str, output_dir: str | None = None, backend: str = "hotcoco"):
        """
        Args:
            dataset_name: a registered data set in COCO's format.
            output_dir: where ``RESULTS_FILE`` is written; None for nowhere.
            backend: "hotcoco" or "pycocotools".
        """
        super().__init__(dataset_name, ("bbox",), True, output_dir)
        # Detectron2 would also write the detections as a pickle.
        self._folder, self._output_dir = output_dir, None
        self._backend = backend

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

    def _evaluate(self, results: list[dict], img_ids: list[int] | None):
        """The finished COCOeval of these detections."""
        evaluation = coco_eval(essentials(self._coco_api.dataset), results, self._backend)
        if img_ids is not None:
            evaluation.params.imgIds = img_ids
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return evaluation


def coco_eval(truth: dict, results: list[dict] | Path, backend: str = "hotcoco"):
    """A COCOeval of boxes before its evaluation. Without detections, AP is 0.

    Args:
        truth: what :func:`essentials` returned.
        results: detections in COCO's format, or, for hotcoco, a file of them: it reads them faster
            than Python does.
        backend: "hotcoco" or "pycocotools".
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
    return COCOeval(coco, detections, "bbox")


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
