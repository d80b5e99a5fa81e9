"""Proposes input scale, anchors, views and iterations for training on stored views."""

from typing import Any

from focal_star.data.proposal import TOO_SMALL, Proposal
from focal_star.extensions import Proposed
from focal_star.frozen.settings import fitting

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
    settings = fitting(content, images_per_batch)
    if settings is None:
        return Proposed((), "no boxes to propose settings from; those of the config are used")
    proposal = settings.proposal
    pairs = {
        "INPUT.SHORT_EDGE": proposal.short_edge,
        "MODEL.ANCHOR_GENERATOR.SIZES": proposal.sizes,
        "VIEWS.PER_IMAGE": settings.views,
        "SOLVER.SCALED_BY": round(max_iter / settings.iterations, 6),
    }
    text = (
        f"{proposal.short_edge} px, anchors from {proposal.smallest_anchor} px, {settings.views} "
        f"views per image, {settings.iterations:,} iterations at 1x ({settings.epochs:.3g} epochs "
        f"of {settings.images:,} images), about {settings.training_seconds / 60:.1f} minutes of "
        "training per cell on one core"
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
