"""The kinds of problem that a data set can have, and the error that lists them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

EXAMPLES_PER_KIND = 5
"""Problems of one kind that an error's message shows."""

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
    """One problem of a data set.

    Attributes:
        split: ``train``, ``val``, or ``both`` for a contradiction between them.
        kind: one of `KINDS`.
        message: which file, which entry, what was given, what is valid.
    """

    split: str
    kind: str
    message: str

    def __post_init__(self) -> None:
        assert self.kind in KINDS, self.kind


class DatasetError(ValueError):
    """A data set that cannot be trained on; the message lists its problems, grouped by kind.

    Attributes:
        folder: the data set's folder.
        problems: all of them; the message shows the first `EXAMPLES_PER_KIND` of each kind.
    """

    def __init__(self, folder: Path | str, problems: Iterable[Problem]):
        self.folder = Path(folder)
        self.problems = list(problems)
        super().__init__(_summary(self.folder, self.problems))


def _summary(folder: Path, problems: list[Problem]) -> str:
    messages_by_kind: dict[str, list[str]] = {}
    for problem in problems:
        messages_by_kind.setdefault(problem.kind, []).append(problem.message)
    noun = "problem" if len(problems) == 1 else "problems"
    lines = [f"{len(problems)} {noun} in the data set {folder}"]
    for kind, messages in messages_by_kind.items():
        lines.append(f"  {kind} ({len(messages)}): {KINDS[kind]}")
        lines += [f"    {message}" for message in messages[:EXAMPLES_PER_KIND]]
        if len(messages) > EXAMPLES_PER_KIND:
            lines.append(f"    ... and {len(messages) - EXAMPLES_PER_KIND} more")
    return "\n".join(lines)


def holds(test: Callable[[], bool]) -> bool:
    """Whether a test of a path holds; False where the path cannot be tested."""
    try:
        return test()
    except (OSError, ValueError):  # too long, a character that no path can have, no permission
        return False
