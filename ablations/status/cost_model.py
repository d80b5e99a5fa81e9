"""The cost of a setting before it is measured, by the speed of published trainings.

The speed is that of Detectron2's model zoo for the detector and depth, on a V100, in proportion to
the input's pixels; :mod:`ablations.status.cards` compares other GPUs with it. The estimate ignores
anchors, OHEM and the loss. It also ignores that small images use a GPU less fully, so small scales
take somewhat longer than estimated.
"""

import csv
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from ablations.status.cards import REFERENCE, speed_of
from ablations.status.status import Status
from ablations.storage.layout import PACKAGE

ZOO_FILE = PACKAGE / "reference" / "zoo_speed.csv"
ZOO_GPUS, ZOO_IMAGES = 8, 16
"""The number of the zoo's GPUs, and the images per iteration."""
ZOO_TRAIN_EDGES, ZOO_TEST_EDGE = (640, 672, 704, 736, 768, 800), 800
"""The zoo's short edges, px. In training, each image gets a random one."""

COCO_TEST_IMAGES = 5000
"""The number of evaluated images (val2017) if the data set has not been prepared yet."""

WEIGHTS_BYTES = {
    ("retinanet", 50): 152_000_000,
    ("retinanet", 101): 228_000_000,
    ("faster_rcnn", 50): 167_000_000,
    ("faster_rcnn", 101): 243_000_000,
}
"""(detector, depth) -> size of ``model_final.pth`` for 80 classes, 9 anchors per location."""

CHECKPOINTS = 3
"""The maximum number in a cell's folder while it trains: two, and one that is being written."""
PER_PARAMETER = 2
"""The numbers per parameter in a checkpoint: its value and its momentum."""

DETECTIONS_PER_IMAGE, BYTES_PER_DETECTION = 100, 240
"""Upper bounds; the bytes are those of the JSON file and of Detectron2's own file."""


@dataclass(frozen=True)
class Zoo:
    """The model zoo's speed of a model.

    Attributes:
        seconds_per_iteration: training time, for ``ZOO_IMAGES`` images on ``ZOO_GPUS`` GPUs.
        seconds_per_image: inference time on one GPU.
    """

    seconds_per_iteration: float
    seconds_per_image: float


@cache
def zoo_models() -> dict[tuple[str, int], Zoo]:
    """(detector, depth) -> the zoo's speed of that model."""
    with ZOO_FILE.open(encoding="utf-8", newline="") as file:
        return {
            (row["detector"], int(row["depth"])): Zoo(
                float(row["seconds_per_iteration"]), float(row["seconds_per_image"])
            )
            for row in csv.DictReader(file)
        }


class CostModel:
    """The cost of a setting by the model zoo; by its pixels if the zoo does not have the model."""

    def __init__(
        self,
        status: Status,
        config: Mapping[str, Any],
        test_images: int = 0,
        card: str = REFERENCE,
    ):
        """
        Args:
            status: the study, whose base values a setting may omit.
            config: dotted key -> value, for the known keys of the study's config.
            test_images: the number of images in the evaluation; 0 for COCO's.
            card: the GPU, a name of :func:`ablations.status.cards.known`.

        Raises:
            PlanError: nothing is published for the card.
        """
        edge = config.get("INPUT.SHORT_EDGE")
        of_config = {"scale": edge} if edge and status.study.propose else {}
        self._base = {"detector": "retinanet"} | of_config | status.study.base
        self._batch = config.get("SOLVER.IMS_PER_BATCH") or ZOO_IMAGES
        scaled_by = config.get("SOLVER.SCALED_BY") or 1
        self._iterations = (config.get("SOLVER.MAX_ITER") or 0) / scaled_by
        self._world_size = config.get("SOLVER.REFERENCE_WORLD_SIZE") or 0
        self._test_images = test_images or COCO_TEST_IMAGES
        self._speed = speed_of(card)

    def value(self, setting: Mapping[str, Any], axis: str) -> Any:
        """A setting's value of an axis; the study's value if the setting has none."""
        return setting.get(axis, self._base.get(axis))

    def zoo(self, setting: Mapping[str, Any]) -> Zoo | None:
        """The zoo's speed; None if the model, the iterations or the study's scale are unknown."""
        if not self._iterations or not self._base.get("scale"):
            return None
        return zoo_models().get(self._model(setting))

    def batch(self, gpus: int) -> float:
        """The images per iteration on this number of GPUs, with Detectron2's linear scaling."""
        return self._batch * (gpus / self._world_size if self._world_size else 1)

    def iterations(self, setting: Mapping[str, Any], gpus: int) -> float:
        """The iterations of a setting's schedule on this number of GPUs; 0 if unknown."""
        planned = self._iterations * setting.get("schedule", 1)
        return planned * self._batch / self.batch(gpus)

    def gpu_seconds(
        self, setting: Mapping[str, Any], iterations: float | None = None, gpus: int = 1
    ) -> float:
        """The time of training and evaluation on one GPU.

        If the zoo does not have the model, the unit is pixels times iterations, not seconds. If the
        study's scale is unknown, the scale has no effect.

        Args:
            setting: axis -> value.
            iterations: the training's iterations; None for those of its schedule.
            gpus: the number of GPUs of these iterations.
        """
        scale = self.value(setting, "scale") if self._base.get("scale") else 1
        trained = iterations if iterations and self._iterations else self.iterations(setting, gpus)
        zoo = self.zoo(setting)
        if zoo is None:
            return float(scale) ** 2 * (trained or 1)
        of_training = statistics.fmean(edge**2 for edge in ZOO_TRAIN_EDGES)
        per_image = zoo.seconds_per_iteration * ZOO_GPUS / ZOO_IMAGES
        training = trained * self.batch(gpus) * per_image * scale**2 / of_training
        return (training + self._testing(zoo, scale)) / self._speed

    def measured_gpu_seconds(
        self, setting: Mapping[str, Any], seconds_per_iteration: float, gpus: int
    ) -> float:
        """The time of training and evaluation on one GPU, by the time of its iterations.

        The zoo must have the model.
        """
        zoo = zoo_models()[self._model(setting)]
        training = seconds_per_iteration * gpus * self.iterations(setting, gpus)
        return training + self._testing(zoo, self.value(setting, "scale")) / self._speed

    def final_bytes(self, setting: Mapping[str, Any]) -> float | None:
        """The size of the weights and detections of a finished cell; None for an unknown model."""
        weights = WEIGHTS_BYTES.get(self._model(setting))
        detections = self._test_images * DETECTIONS_PER_IMAGE * BYTES_PER_DETECTION
        return None if weights is None else weights + detections

    def running_bytes(self, setting: Mapping[str, Any]) -> float:
        """The size of a cell's checkpoints while it trains; 0 for an unknown model."""
        return CHECKPOINTS * PER_PARAMETER * WEIGHTS_BYTES.get(self._model(setting), 0)

    def _model(self, setting: Mapping[str, Any]) -> tuple[str, Any]:
        return self.value(setting, "detector"), self.value(setting, "depth")

    def _testing(self, zoo: Zoo, scale: float) -> float:
        return self._test_images * zoo.seconds_per_image * scale**2 / ZOO_TEST_EDGE**2
