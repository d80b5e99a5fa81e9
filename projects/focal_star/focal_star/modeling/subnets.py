"""The initial weights of RetinaNet's two subnets."""

from torch import nn

INITIALISATIONS = ("normal", "he")
"""``MODEL.RETINANET.SUBNET_INIT``: what :func:`initialise_subnets` draws the weights from."""


def initialise_subnets(head: nn.Module, initialisation: str) -> None:
    """Draw new weights for the hidden convolutions of both subnets, in place.

    The paper (arXiv:1708.02002, section 4.1) and Detectron2 draw them from a normal distribution
    with a standard deviation of .01, which suits 256 channels: each convolution then passes on
    about half of its input's standard deviation. With 32 channels it passes on a sixth, and a head
    of several convolutions hardly learns. He's ("Delving Deep into Rectifiers", arXiv:1502.01852,
    eq. 10) suits any width. The two output convolutions keep their weights.

    Args:
        head: Detectron2's ``RetinaNetHead``, or another with the same two subnets.
        initialisation: one of ``INITIALISATIONS``; "normal" keeps the head as it is.

    Raises:
        ValueError: another initialisation.
    """
    if initialisation not in INITIALISATIONS:
        raise ValueError(f"{initialisation!r} is none of {', '.join(INITIALISATIONS)}")
    if initialisation == "he":
        for layer in [*head.cls_subnet.modules(), *head.bbox_subnet.modules()]:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
