"""The kinds of fault that the check of a data set knows, and how it speaks of them."""

import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 120
_REPR.maxlevel = 3

KINDS = {
    "missing-file": "a file or folder of the data set is not there or cannot be read",
    "not-json": "the annotation file is not JSON in UTF-8",
    "not-coco": "a value is missing or of another form than COCO's",
    "not-voc": "an annotation file of Pascal VOC, or a value in it, is of another form than VOC's",
    "no-categories": "a split lists no category",
    "no-images": "a split lists no image",
    "no-annotations": "a split has no annotation that is not a crowd",
    "duplicate-category-id": "two categories of a split have the same id",
    "duplicate-category-name": "two categories of a split have the same name",
    "duplicate-image-id": "two images of a split have the same id",
    "duplicate-file-name": "two images of a split are the same file",
    "duplicate-annotation-id": "two annotations of a split have the same id",
    "path-outside": "a file_name leads out of images/",
    "missing-image": "an image that a split lists is not there",
    "broken-image": "an image cannot be decoded",
    "image-size": "width and height are not those of the image",
    "too-many-objects": "an image has more objects than anchors can be matched with",
    "unknown-image": "an annotation is of an image that its split does not list",
    "unknown-category": "an annotation is of a category that its split does not list",
    "box-not-finite": "a bbox is not finite",
    "empty-box": "a bbox has no area",
    "box-outside": "a bbox reaches out of its image",
    "bad-segmentation": "a segmentation is malformed",
    "ignore-flag": "an annotation is marked to be ignored",
    "categories-differ": "the splits list different categories",
    "split-overlap": "an image is in both splits",
}
"""What each kind of problem means."""


@dataclass(frozen=True)
class Problem:
    """One fault of a data set.

    Attributes:
        split: ``train`` or ``val``, or ``both`` where it lies between them.
        kind: one of `KINDS`.
        message: which file, which entry, what was given, what is valid.
    """

    split: str
    kind: str
    message: str

    def __post_init__(self) -> None:
        assert self.kind in KINDS, self.kind


def shown(value: Any) -> str:
    """A value as a message shows it: quoted, on one line, and short however long it is."""
    return _REPR.repr(value)


def holds(test: Callable[[], bool]) -> bool:
    """Whether a test of a path holds; a path that cannot even be asked about fails it."""
    try:
        return test()
    except (OSError, ValueError):  # too long, a character that no path can have, no permission
        return False
