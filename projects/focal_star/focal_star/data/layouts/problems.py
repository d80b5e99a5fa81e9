"""The kinds of problem that a data set can have, and the error that lists them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

EXAMPLES_PER_KIND = 5
"""Problems of one kind that an error's message shows."""

EXAMPLES_PER_WARNING = 3
"""Cases of one kind that a warning shows."""

KINDS = {
    "missing-file": "a file or folder of the data set is missing or cannot be read",
    "not-json": "the annotation file is not JSON in UTF-8",
    "not-coco": "a value is missing, or is not what COCO's format has there",
    "not-voc": "an annotation file, or a value in it, is not what Pascal VOC's format has there",
    "not-yolo": "a file, or a line in it, is not what YOLO's format has there",
    "not-cvat": "the annotation file, or a value in it, is not what CVAT's format has there",
    "not-fiftyone": "the annotation file, or a value in it, is not what FiftyOne writes there",
    "not-labelme": "an annotation file, or a value in it, is not what LabelMe writes there",
    "not-csv": "a CSV file, or a row of it, is not what a table of boxes has there",
    "no-categories": "a split lists no category",
    "no-images": "a split lists no image",
    "no-annotations": "a split has no object, except for crowds",
    "duplicate-category-id": "two categories of a split have the same id",
    "duplicate-category-name": "two categories of a split have the same name; if they mean the "
    "same, make check FIX=folder MERGE=1 writes a copy in which they are one",
    "duplicate-image-id": "two images of a split have the same id",
    "duplicate-file-name": "two images of a split are the same file",
    "duplicate-annotation-id": "two annotations of a split have the same id",
    "path-outside": "a file_name leads out of images/",
    "missing-image": "an image that a split lists is missing",
    "broken-image": "an image cannot be decoded; save it again, or remove it and its annotations",
    "image-size": "width and height are missing, or are not those of the image; where another size "
    "is given, the boxes are probably of that size, so scale or turn them as well; make check "
    "FIX=folder writes a copy in which missing sizes are those of the files",
    "too-many-objects": "an image has more objects than anchors can be matched with",
    "unknown-image": "an annotation has the image_id of no image of its split",
    "unknown-category": "an annotation has the category_id of no category of its split",
    "box-not-finite": "a bbox is not finite",
    "empty-box": "a bbox has no area; make check FIX=folder writes a copy without boxes of width "
    "or height 0",
    "box-outside": "a bbox extends beyond its image; make check FIX=folder writes a copy in which "
    "boxes that are mostly inside are clipped",
    "normalised-boxes": "the boxes of a split are fractions of the image instead of pixels",
    "corners": "the boxes of a split are two corners instead of a corner, width and height",
    "centres": "the boxes of a split have their centre instead of a corner",
    "bad-segmentation": "a segmentation is malformed",
    "ignore-flag": "an annotation is marked to be ignored",
    "categories-differ": "the splits list different categories; both must list the same ones under "
    "the same ids",
    "split-overlap": "an image is in both splits; remove it from one of them",
    "no-copy": "a repaired copy cannot be written",
}
"""What each kind of problem means."""

WARNINGS = {
    "area": (
        "annotation",
        "area is 0, or larger than the box; the box's area is used in its place",
    ),
    "bad-segmentation": (
        "annotation",
        "the segmentation is malformed and is left out; the detectors use only boxes",
    ),
    "box-from-polygon": ("annotation", "bbox is missing, and is computed from the segmentation"),
    "box-rotated": (
        "annotation",
        "the box is rotated, as CVAT's attribute rotation says; the upright box around it is used",
    ),
    "box-repeated": (
        "annotation",
        "an earlier annotation has the same image, box and category; remove one of them, or a "
        "detector is expected to find the object twice",
    ),
    "box-tiny": (
        "annotation",
        "the box is less than 1 px wide or high; if it is in fractions of the image, convert it to "
        "px",
    ),
    "name-found": (
        "image",
        "file_name differs from the path of the file in folders, upper and lower case, %20 or "
        "backslashes; the file of this name in the data set is used",
    ),
    "ids-mapped": (
        "id",
        "the id is a text or has more than 63 bits, which libraries cannot store; the ids are "
        "replaced by 1, 2, 3, ... in the same order",
    ),
    "same-picture": (
        "image",
        "the same picture is also in the training split, which makes the AP too high; remove it "
        "from one of the splits",
    ),
    "names-alike": (
        "group of category names",
        "the names differ only in case, blanks or the form of letters; if they mean the same, make "
        "check FIX=folder MERGE=1 writes a copy in which each group is one category",
    ),
    "root-category": (
        "category",
        "it has no objects and is the supercategory of all others, like the one that Roboflow adds;"
        " it is left out",
    ),
    "like-keypoints": (
        "line",
        "the numbers are read as a polygon, but could be a box and the keypoints in it; if they "
        "are, add kpt_shape to the YAML file",
    ),
    "many-objects": (
        "image",
        "there are more than 100 objects, but only 100 detections per image count by default; "
        "TEST.DETECTIONS_PER_IMAGE raises this limit",
    ),
    "no-objects": (
        "image",
        "no objects; used in validation, and in training only if "
        "DATALOADER.FILTER_EMPTY_ANNOTATIONS is False",
    ),
    "no-annotation-file": (
        "image",
        "there is no annotation file, so the image counts as one without objects",
    ),
    "no-row": (
        "image",
        "no row of a CSV file names it, so it counts as one without objects",
    ),
    "image-of-stem": (
        "annotation file",
        "its imagePath is not in the data set; the image with the file's own name is used",
    ),
    "shape-ignored": (
        "shape",
        "its label is __ignore__, so it is left out, as by LabelMe's own converters",
    ),
    "not-listed": (
        "annotation file",
        "neither the training nor the validation images include its image, so its objects are left "
        "out",
    ),
    "no-image": (
        "annotation file",
        "there is no image of this name in a format that is read, so its objects are left out",
    ),
}
"""Kind of doubtful thing -> what is counted, and what is doubtful about it, or done."""


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

    def __init__(self, folder: Path | str, problems: Iterable[Problem], layout: str = ""):
        """
        Args:
            folder: the data set's folder.
            problems: its problems.
            layout: in which layout it was read, for the message.
        """
        self.folder = Path(folder)
        self.problems = list(problems)
        super().__init__(_summary(self.folder, self.problems, layout))


@dataclass
class Doubts:
    """The doubtful things in a data set, of which each kind becomes one line.

    Attributes:
        cases: (split, kind of `WARNINGS`) -> number of cases, and the first examples.
        notes: split -> lines on how the data set was read.
    """

    cases: dict[tuple[str, str], tuple[int, list[str]]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def add(self, split: str, kind: str, example: str, number: int = 1) -> None:
        """Count cases of a kind of `WARNINGS`."""
        assert kind in WARNINGS, kind
        count, examples = self.cases.setdefault((split, kind), (0, []))
        if len(examples) < EXAMPLES_PER_WARNING:
            examples.append(example)
        self.cases[split, kind] = count + number, examples

    def note(self, split: str, line: str) -> None:
        """Add a line on how the data set was read."""
        self.notes.setdefault(split, []).append(line)

    def note_unused(self, split_of: dict[str, str]) -> None:
        """Note the names that :func:`focal_star.data.layouts.split.splits_by_name` leaves out."""
        unused = [name for name, split in split_of.items() if not split]
        if unused:
            self.note("val", f"the images of {' and '.join(unused)} are not used")

    def note_left_out(self, noun: str, what: str, paths: list[str]) -> None:
        """Note files that are not used, if there are any.

        Args:
            noun: what they are, in the singular.
            what: why they are not used, such as "without shapes".
            paths: below the data set's folder.
        """
        if paths:
            listed = _listed(len(paths), [repr(path) for path in paths[:1]])
            self.note("train", f"{counted(len(paths), noun)} {what} ({listed}): not used")

    def copy(self) -> "Doubts":
        cases = {key: (count, list(examples)) for key, (count, examples) in self.cases.items()}
        return Doubts(cases, {split: list(lines) for split, lines in self.notes.items()})

    def lines(self, split: str) -> list[str]:
        """The notes and one line per kind, of a split."""
        lines = list(self.notes.get(split, []))
        for kind, (noun, words) in WARNINGS.items():
            if (split, kind) in self.cases:
                count, examples = self.cases[split, kind]
                lines.append(f"{counted(count, noun)} ({_listed(count, examples)}): {words}")
        return lines


def counted(count: int, noun: str) -> str:
    """For example ``1 image``, ``2,000 images``, ``2 categories``, ``2 groups of names``."""
    first, of, rest = noun.partition(" of ")
    plural = f"{first[:-1]}ies" if first.endswith("y") else f"{first}s"
    return f"{count:,} {first if count == 1 else plural}{of}{rest}"


def _listed(count: int, examples: list[str]) -> str:
    text = "; ".join(examples)
    return text if count == len(examples) else f"such as {text}"


def _summary(folder: Path, problems: list[Problem], layout: str) -> str:
    messages_by_kind: dict[str, list[str]] = {}
    for problem in problems:
        messages_by_kind.setdefault(problem.kind, []).append(problem.message)
    noun = "problem" if len(problems) == 1 else "problems"
    read_as = f" ({layout})" if layout else ""
    lines = [f"{len(problems)} {noun} in the data set {folder}{read_as}"]
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
