"""What a config gets by ``EXTENSIONS: [fitted]``: proposals for its data."""

from typing import Any

from detectron2.config import CfgNode

from focal_star.data.proposal import TOO_SMALL, Proposal, read_in_training
from focal_star.extensions import Extension, Proposed
from focal_star.fitted.settings import Settings, fitting


class Fitted(Extension):
    """The extension of a config whose scale, anchors and schedule follow from its data."""

    def propose(self, cfg: CfgNode, content: dict[str, Any]) -> Proposed:
        with_empty = not cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS
        return proposed(fitting(read_in_training(content, with_empty)), cfg)


def proposed(settings: Settings, cfg: CfgNode) -> Proposed:
    """The settings as ``KEY VALUE`` pairs.

    ``SOLVER.SCALED_BY`` is the multiple of the fitting length that the config's schedule has, so
    that warm-up, steps and periods fit as well, and SCHEDULE still multiplies them.
    """
    iterations = settings.image_views / cfg.SOLVER.IMS_PER_BATCH
    pairs: dict[str, Any] = {"SOLVER.SCALED_BY": round(cfg.SOLVER.MAX_ITER / iterations, 6)}
    shown = (
        f"{iterations:,.0f} iterations of {cfg.SOLVER.IMS_PER_BATCH} ({settings.epochs:.3g} epochs "
        f"of {settings.images:,} images)"
    )
    if settings.proposal is None:
        return Proposed(_overrides(pairs), f"{shown}; no boxes to propose anchors from")
    proposal = settings.proposal
    pairs["INPUT.SHORT_EDGE"] = proposal.short_edge
    pairs["MODEL.ANCHOR_GENERATOR.SIZES"] = proposal.sizes
    text = f"{proposal.short_edge} px, anchors from {proposal.smallest_anchor} px, {shown}"
    return Proposed(_overrides(pairs), text, _doubt(proposal))


def _overrides(pairs: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(part) for pair in pairs.items() for part in pair)


def _doubt(proposal: Proposal) -> str:
    """What will hardly be learnt; "" if most is."""
    if not proposal.too_small:
        return ""
    return (
        f"{100 * proposal.too_small:.0f} % of the boxes are below {TOO_SMALL} px at this input and "
        "will hardly be found; if they matter, cut the images into tiles"
    )


EXTENSION = Fitted()
