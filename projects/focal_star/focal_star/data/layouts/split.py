"""One half of a data set, as every layout describes it, and the names that it goes by."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

SOURCE = "source"
"""Key of a converted entry: the file, and the entry there, that it was converted from."""

SPLITS = ("train", "val")

TRAIN_NAMES = ("train", "training")
VAL_NAMES = ("val", "valid", "validation")
TEST_NAMES = ("test", "testing")
HELD_OUT_NAMES = VAL_NAMES + TEST_NAMES
"""Names of the splits in files and folders, the preferred ones first; upper case counts as well."""


@dataclass(frozen=True)
class Split:
    """One half of a data set: ``train`` or ``val``.

    Attributes:
        name: "train" or "val".
        annotation_file: in COCO's format; just the split's name where it is converted from
            another layout.
        image_root: the folder that every ``file_name`` is relative to.
        folder: the folder that no link may lead out of; None for ``image_root``.
    """

    name: str
    annotation_file: Path
    image_root: Path
    folder: Path | None = field(default=None, compare=False)

    @property
    def has_file(self) -> bool:
        """Whether its entries are those of an annotation file in COCO's format."""
        return self.annotation_file != Path(self.name)


def splits_by_name(names: Iterable[str]) -> dict[str, str]:
    """Name -> "train", "val", or "" for the test data beside validation data.

    Args:
        names: of subsets, tags or folders; others than names of splits are left out.

    Returns:
        Nothing where no name is that of a validation split.
    """
    lower = {name: name.lower() for name in names}
    val = next((one for one in HELD_OUT_NAMES if one in lower.values()), None)
    if val is None:
        return {}
    split_of = dict.fromkeys(HELD_OUT_NAMES, "") | dict.fromkeys(TRAIN_NAMES, "train")
    split_of[val] = "val"
    return {name: split_of[one] for name, one in lower.items() if one in split_of}


def kinds_of_splits(folders: Iterable[str]) -> set[str]:
    """The splits in the names of folders: "val" of ``valid`` and ``images_val2017``, for example.

    They are "train", "val" and "test".
    """
    words = {word for folder in folders for word in re.findall("[a-z]+", folder.lower())}
    kinds = ((*TRAIN_NAMES, "trainval"), VAL_NAMES, TEST_NAMES)
    return {names[0] for names in kinds if not words.isdisjoint(names)}


def is_name_of_split(name: str) -> bool:
    """Whether a folder, subset or tag of this name is a split."""
    return name.lower() in TRAIN_NAMES + HELD_OUT_NAMES
