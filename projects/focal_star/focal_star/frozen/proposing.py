"""Proposes input scale, anchors, views and iterations for training on stored views."""

from typing import Any

import numpy as np

from focal_star.data.proposal import TOO_SMALL, Proposal, boxes_of, propose
from focal_star.extensions import Proposed
from focal_star.frozen.store import MAX_IMAGES

CANDIDATES = ((256, 32), (256, 24), (320, 32), (320, 24), (384, 32), (384, 24), (384, 16))
"""Short edges of the input and smallest anchors, px, the preferred pair first.

Anchors from 16 px are for data of which no other pair matches most of the boxes.
"""

VIEWS = 12
"""Stored views per image, as far as there are fewer than ``MAX_IMAGES`` views."""

EPOCHS = 48
MIN_ITERATIONS = 600
SECONDS_PER_ITERATION = 0.11
"""An estimate for 8 views of 256 px, on one core with nothing else running."""
BUDGET_SECONDS = 165
"""The time limit of a cell's iterations; with evaluation and the rest, it is four minutes."""

UNLEARNABLE = 0.5
"""From this share of too small boxes on, a data set can hardly be learnt."""


def proposed(content: dict[str, Any], images_per_batch: int, max_iter: int) -> Proposed:
    """The proposal for a data set.

    Without boxes there is nothing to propose. The number of iterations is proposed through
    ``SOLVER.SCALED_BY``, the multiple of it that the config has, so that warm-up and periods fit as
    well, and ``SOLVER.SCHEDULE`` multiplies them.

    Args:
        content: the annotations that training reads, in COCO's format.
        images_per_batch: ``SOLVER.IMS_PER_BATCH``.
        max_iter: ``SOLVER.MAX_ITER`` of the config.
    """
    boxes, sizes = boxes_of(content)
    if not len(boxes):
        return Proposed((), "no boxes to propose settings from; those of the config are used")
    proposal, images = propose(boxes, sizes, CANDIDATES), content["images"]
    views = int(np.clip(MAX_IMAGES // len(images), 1, VIEWS))
    seconds = SECONDS_PER_ITERATION * (proposal.short_edge / CANDIDATES[0][0]) ** 2
    epochs = EPOCHS * len(images) / images_per_batch
    iterations = round(min(max(epochs, MIN_ITERATIONS), BUDGET_SECONDS / seconds))
    pairs = {
        "INPUT.SHORT_EDGE": proposal.short_edge,
        "MODEL.ANCHOR_GENERATOR.SIZES": proposal.sizes,
        "VIEWS.PER_IMAGE": views,
        "SOLVER.SCALED_BY": round(max_iter / iterations, 6),
    }
    epochs = iterations * images_per_batch / len(images)
    text = (
        f"{proposal.short_edge} px, anchors from {proposal.smallest_anchor} px, {views} views per "
        f"image, {iterations:,} iterations at 1x ({epochs:.3g} epochs of {len(images):,} images), "
        f"about {iterations * seconds / 60:.1f} minutes of training per cell on one core"
    )
    return Proposed(tuple(str(x) for pair in pairs.items() for x in pair), text, _doubt(proposal))


def _doubt(proposal: Proposal) -> str:
    """What will not be learnt; "" if most is."""
    if not proposal.too_small:
        return ""
    share = 100 * proposal.too_small
    share_text = f"{share:.0f} %" if share >= 1 else "less than 1 %"
    text = f"{share_text} of the boxes are below {TOO_SMALL} px at this input"
    if proposal.too_small < UNLEARNABLE:
        return f"{text} and will hardly be found; the others can be learnt"
    return (
        f"{text}: this network cannot learn the data set. Cut the images into tiles, in which the "
        "objects are larger, or use a GPU"
    )
