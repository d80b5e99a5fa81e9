"""The published speed of GPUs, in relation to the V100 of the model zoo's times."""

import re
import statistics
from functools import cache
from typing import Annotated, Any

import msgspec

from ablations.storage.layout import PACKAGE
from ablations.storage.reading import PlanError, read, refuse

CARDS_FILE = PACKAGE / "reference" / "gpu_speed.yaml"

REFERENCE = "V100"
"""The card of the model zoo; every workload of the file has it."""

_NOT_IN_NAMES = re.compile(r"NVIDIA|GeForce|Tesla|Quadro|[\s_-]", re.IGNORECASE)

Positive = Annotated[float, msgspec.Meta(gt=0)]


class Published(msgspec.Struct, forbid_unknown_fields=True):
    """A published throughput of one GPU.

    Attributes:
        images_per_second: in training, FP32 or TF32.
        short_edges: the images' short edges, px; empty if all cards have images of one size.
    """

    images_per_second: Positive
    short_edges: list[int] = []

    @property
    def work(self) -> float:
        """The work per second: pixels where the size of the images is known, else images."""
        if not self.short_edges:
            return self.images_per_second
        return self.images_per_second * statistics.fmean(edge**2 for edge in self.short_edges)


class CardsFile(msgspec.Struct, forbid_unknown_fields=True):
    """Schema of the file: workload -> card -> its throughput, the preferred workload first."""

    workloads: dict[str, dict[str, Published]]


def speed_of(card: str) -> float:
    """How many times faster than a V100 a card trains.

    Args:
        card: its name, with or without blanks: ``A100``, ``RTX 3090``.

    Raises:
        PlanError: nothing is published for it; the message lists the known cards.
    """
    name = canonical(card)
    for cards in _workloads().values():
        if name in cards:
            return cards[name].work / cards[REFERENCE].work
    raise PlanError(f"GPU {card!r} has no published speed here; valid: {', '.join(known())}")


def canonical(card: str) -> str:
    """The name of a card as the file has it; the given name if the file does not have it."""
    short = _NOT_IN_NAMES.sub("", card).lower()
    return next((name for name in known() if name.lower() in (short, f"rtx{short}")), card)


def known() -> list[str]:
    """The names of all cards of the file."""
    return sorted({name for cards in _workloads().values() for name in cards})


@cache
def _workloads() -> dict[str, dict[str, Published]]:
    content: dict[str, Any]
    content, problems = read(CARDS_FILE, CardsFile)
    workloads = content.get("workloads", {})
    problems += [
        f"workloads.{n} has no {REFERENCE}" for n, c in workloads.items() if REFERENCE not in c
    ]
    refuse(CARDS_FILE, problems)
    return workloads
