"""Keeps what an earlier training, or another one, left in a folder: nothing is written over."""

import itertools
from pathlib import Path

EARLIER = "earlier"
EVALUATION = "evaluation"

TRACES = ("model_*.pth", "last_checkpoint", "metrics.json", "result.json", "divergence.json")
"""Files of which one at least is left by every training that has begun."""

FILES = (
    "model_*.pth*",  # first, so that nothing is resumed after a kill between two moves
    "model_final.*",
    *TRACES[1:],
    "events.out.tfevents.*",
    "config.yaml",
    "detectron2.yaml",
    "inference",
    "log.txt*",
    "runs.json",
    "wandb",
    "mlruns",
)
"""All that belongs to a training, by name."""


def holds_training(folder: Path) -> bool:
    """Whether a training, finished or not, is in a folder."""
    return any(any(folder.glob(name)) for name in TRACES)


def keep_earlier(folder: Path) -> Path:
    """Move the training in a folder to ``earlier/<number>/`` there; return that place.

    The number is new: what was moved before stays.
    """
    place = new_folder(folder / EARLIER)
    for name in FILES:
        for path in sorted(folder.glob(name)):
            path.replace(place / path.name)
    return place


def evaluation_folder(folder: Path) -> Path:
    """Return where an evaluation writes: the folder, or a new one in it if a training is there."""
    return new_folder(folder / EVALUATION) if holds_training(folder) else folder


def new_folder(parent: Path) -> Path:
    """Make ``parent/<number>``, by a number higher than all that are there."""
    parent.mkdir(parents=True, exist_ok=True)
    used = [int(path.name) for path in parent.iterdir() if path.name.isdecimal()]
    for number in itertools.count(max(used, default=0) + 1):
        try:
            (parent / str(number)).mkdir()
        except FileExistsError:  # another process was faster
            continue
        return parent / str(number)
    raise AssertionError("the numbers have no end")
