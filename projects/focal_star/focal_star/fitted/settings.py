"""The input scale, anchors and length of training that fit a data set, from its annotations.

It needs neither torch nor Detectron2, so that a plan has them within a second::

    python -m focal_star.fitted.settings FOLDER [--with-empty]

prints ``short_edge``, ``image_views`` and ``test_images`` as JSON, of a folder that is not checked.
``--with-empty``: training also reads images without objects.
"""

import json
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from focal_star.data.proposal import Proposal, annotations_of, boxes_of, propose

SHORT_EDGES = (400, 600, 800, 1000)
"""Possible short edges of the input, px. The paper trains at 600 (arXiv:1708.02002)."""

USUAL_EDGE = 600
"""No smaller input is proposed, unless the images are too small for it."""

MAX_ENLARGEMENT = 2.0
"""The limit of the input's short edge relative to that of the median image."""

ANCHORS = (32, 24, 16)
"""Possible smallest anchors, px, the paper's first."""

EPOCHS, MIN_EPOCHS = 36.0, 12.0
"""The epochs of small data sets, and of large ones; 12 are the paper's 1x on COCO."""

MANY_VIEWS = 144_000
"""From this number of images shown on, 12 epochs are enough: 1x of a tenth of COCO."""

MIN_VIEWS = 24_000
"""The minimum number of images shown: 1,500 iterations of 16."""


@dataclass(frozen=True)
class Settings:
    """What fits a data set.

    Attributes:
        images: the number of images that training reads.
        image_views: the number of images shown in training: iterations times images per batch.
        proposal: the input scale and the anchors; None without a box.
    """

    images: int
    image_views: int
    proposal: Proposal | None

    @property
    def epochs(self) -> float:
        return self.image_views / self.images


def fitting(content: dict[str, Any]) -> Settings:
    """The settings for a data set.

    Args:
        content: the annotations that training reads, in COCO's format.
    """
    boxes, image_of_box = boxes_of(content)
    images = [(image["width"], image["height"]) for image in content["images"]]
    views = max(MIN_VIEWS, MIN_EPOCHS * len(images), min(EPOCHS * len(images), MANY_VIEWS))
    proposal = None
    if len(boxes):
        edges = possible_edges(np.array(images, float))
        proposal = propose(boxes, image_of_box, [*product(edges, ANCHORS)])
    return Settings(len(images), round(views), proposal)


def possible_edges(images: np.ndarray) -> tuple[int, ...]:
    """The short edges that suit the images, px, ascending.

    Args:
        images: (N, 2) width and height, px.
    """
    largest = MAX_ENLARGEMENT * float(np.median(images.min(axis=1)))
    edges = tuple(edge for edge in SHORT_EDGES if USUAL_EDGE <= edge <= largest)
    return edges or SHORT_EDGES[:1]


def of_folder(folder: Path, with_empty: bool = False) -> dict[str, int]:
    """``short_edge`` (0 without a box), ``image_views`` and ``test_images`` of a folder.

    Args:
        folder: a data set.
        with_empty: whether training also reads images without objects.

    Raises:
        OSError, ValueError, KeyError, TypeError, IndexError: it cannot be read.
    """
    train, val = annotations_of(folder, with_empty)
    settings = fitting(train)
    return {
        "short_edge": settings.proposal.short_edge if settings.proposal else 0,
        "image_views": settings.image_views,
        "test_images": len(val["images"]),
    }


def main(folder: str, *options: str) -> int:
    """Print the settings of a folder; return 1 where it cannot be read."""
    try:
        print(json.dumps(of_folder(Path(folder), with_empty="--with-empty" in options)))
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        print(f"{folder}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
