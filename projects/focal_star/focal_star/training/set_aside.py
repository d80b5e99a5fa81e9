"""Keeps the files that an earlier training left in a folder: nothing is overwritten."""

import itertools
import shutil
from pathlib import Path

EARLIER = "earlier"
EVALUATION = "evaluation"

TRACES = ("model_*.pth", "last_checkpoint", "metrics.json", "result.json", "divergence.json")
"""Every training that has started leaves at least one of these files."""

FILES = (
    "model_[0-9]*.pth*",  # first, so that nothing is resumed after a kill between two moves
    "result.json",
    "events.out.tfevents.*",
    "config.yaml",
    "detectron2.yaml",
    "inference",
    "log.txt*",
    "wandb",
    "mlruns",
    # Last, so that after a kill the rest is still known to be a training's, and is moved as well.
    "divergence.json",
    "last_checkpoint",
    "metrics.json",
    "model_final.*",
    "model_*.pth*",
)
"""All that belongs to a training, by name."""


def holds_training(folder: Path) -> bool:
    """Whether a training, finished or not, is in a folder."""
    return any(any(folder.glob(name)) for name in TRACES)


def files_of(folder: Path) -> list[Path]:
    """The files and folders of the training in a folder, in the order in which to move them."""
    paths = (path for name in FILES for path in sorted(folder.glob(name)))
    return list(dict.fromkeys(paths))


def keep_earlier(folder: Path, copied: Path | None = None) -> Path:
    """Move the training in a folder to ``earlier/<number>/`` there; return that place.

    The number is new: what was moved before stays.

    Args:
        folder: the output folder of the training.
        copied: a file that is copied instead of moved, because it is still read.
    """
    place = new_folder(folder / EARLIER)
    for path in files_of(folder):
        if copied is not None and path.resolve() == copied.resolve():
            shutil.copy2(path, place / path.name)
        else:
            path.replace(place / path.name)
    return place


def evaluation_folder(folder: Path) -> Path:
    """Return where an evaluation writes: the folder, or a new one in it if a training is there."""
    return new_folder(folder / EVALUATION) if holds_training(folder) else folder


def new_folder(parent: Path) -> Path:
    """Make ``parent/<number>``, with a number above all existing ones."""
    parent.mkdir(parents=True, exist_ok=True)
    used = [int(path.name) for path in parent.iterdir() if path.name.isdecimal()]
    for number in itertools.count(max(used, default=0) + 1):
        try:
            (parent / str(number)).mkdir()
        except FileExistsError:  # another process was faster
            continue
        return parent / str(number)
    raise AssertionError("the numbers have no end")
