"""The input scale, anchors, views and iterations that fit a data set, from its annotations.

It needs neither torch nor Detectron2, so that a plan has them within a second::

    python -m focal_star.frozen.settings FOLDER --images-per-batch N [--with-empty]

prints ``training_seconds``, an estimate for a cell at 1x, as JSON, of a folder that is not checked.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from focal_star.data.proposal import Proposal, annotations_of, boxes_of, propose

CANDIDATES = ((256, 32), (256, 24), (320, 32), (320, 24), (384, 32), (384, 24), (384, 16))
"""Short edges of the input and smallest anchors, px, the preferred pair first.

Anchors from 16 px are for data of which no other pair matches most of the boxes.
"""

VIEWS = 12
"""Stored views per image, as far as there are fewer than ``MAX_IMAGES`` views."""

MAX_IMAGES = 12_000
"""The maximum number of images of a store; a training of a few minutes reads fewer views."""

EPOCHS = 48
MIN_ITERATIONS = 600
SECONDS_PER_ITERATION = 0.11
"""An estimate for 8 views of 256 px, on one core with nothing else running."""
BUDGET_SECONDS = 165
"""The time limit of a cell's iterations; with evaluation and the rest, it is four minutes."""


@dataclass(frozen=True)
class Settings:
    """What fits a data set.

    Attributes:
        images: the number of images that training reads.
        proposal: the input scale and the anchors.
        views: the number of stored views per image.
        iterations: those of 1x.
        epochs: the epochs of 1x.
        training_seconds: the estimated time of the iterations on one core.
    """

    images: int
    proposal: Proposal
    views: int
    iterations: int
    epochs: float
    training_seconds: float


def fitting(content: dict[str, Any], images_per_batch: int) -> Settings | None:
    """The settings for a data set; None if it has no boxes.

    Args:
        content: the annotations that training reads, in COCO's format.
        images_per_batch: ``SOLVER.IMS_PER_BATCH``.
    """
    boxes, sizes = boxes_of(content)
    if not len(boxes):
        return None
    proposal, images = propose(boxes, sizes, CANDIDATES), len(content["images"])
    seconds = SECONDS_PER_ITERATION * (proposal.short_edge / CANDIDATES[0][0]) ** 2
    wanted = max(EPOCHS * images / images_per_batch, MIN_ITERATIONS)
    iterations = round(min(wanted, BUDGET_SECONDS / seconds))
    return Settings(
        images=images,
        proposal=proposal,
        views=int(np.clip(MAX_IMAGES // images, 1, VIEWS)),
        iterations=iterations,
        epochs=iterations * images_per_batch / images,
        training_seconds=iterations * seconds,
    )


def main(argv: list[str] | None = None) -> int:
    """Print the estimate for a folder; return 1 where there is none."""
    parser = argparse.ArgumentParser(prog="python -m focal_star.frozen.settings")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images-per-batch", type=int, required=True)
    parser.add_argument("--with-empty", action="store_true")
    options = parser.parse_args(argv)
    try:
        train, _ = annotations_of(options.folder, options.with_empty)
        settings = fitting(train, options.images_per_batch)
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        print(f"{options.folder}: {error}", file=sys.stderr)
        return 1
    if settings is None:
        print(f"{options.folder}: it has no boxes", file=sys.stderr)
        return 1
    print(json.dumps({"training_seconds": settings.training_seconds}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
