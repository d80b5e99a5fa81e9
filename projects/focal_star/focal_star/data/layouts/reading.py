"""Reads a folder in whichever layout it has."""

from pathlib import Path

from focal_star.data.layouts import coco, coco_values, cvat, voc, yolo
from focal_star.data.layouts.dataset import Dataset
from focal_star.data.layouts.file_names import images_below
from focal_star.data.layouts.halving import divide
from focal_star.data.layouts.json_files import read_json
from focal_star.data.layouts.problems import holds
from focal_star.data.layouts.split import Split
from focal_star.io.quoting import shown

LAYOUTS = (
    *coco.LAYOUTS,
    f"of Pascal VOC, {', '.join(voc.PARTS)}",
    "of YOLO, data.yaml (names, train, val), images/ and labels/; or obj.data; or classes.txt",
    "of CVAT, annotations.xml and images/",
)
"""The layouts, in words."""

_OTHERS = (
    (voc.is_voc, voc.convert),
    (yolo.is_yolo, yolo.convert),
    (cvat.is_cvat, cvat.convert),
)
"""Whether a layout other than COCO's fits a folder, and its reader."""

MAX_LISTED = 12
"""Entries of a folder that a message lists."""


def read(folder: Path | str, links: bool = False) -> Dataset | None:
    """The data set in a folder; None where no layout fits.

    Args:
        folder: an existing folder.
        links: whether its images may be links out of it.

    Raises:
        OSError: the folder cannot be read.
    """
    folder = Path(folder).resolve()
    if coco.is_coco(folder):
        return _coco(folder, coco.splits_of(folder), links)
    for fits, convert in _OTHERS:
        if fits(folder):
            return _bounded(convert(folder), links)
    single = coco.single_file_of(folder)
    return None if single is None else _coco(folder, (single,), links)


def _coco(folder: Path, splits: tuple[Split, ...], links: bool) -> Dataset:
    train, val = splits if len(splits) == 2 else (splits[0], splits[0])
    dataset = Dataset(folder, (train, val), is_converted=False)
    for split in splits:
        content, state = read_json(
            split.annotation_file, split.name, dataset.problems, allow_mark=True
        )
        dataset.contents[split.name] = content
        if state is not None:
            dataset.files[split.name] = state
            dataset.is_converted |= state.has_mark
    coco_values.make_plain(dataset, links)
    if len(splits) == 1 and dataset.contents["train"] is not None:
        divide(dataset)
        dataset.is_converted = True
    if len(splits) == 1:
        one, _ = dataset.splits
        dataset.splits = one, Split("val", one.annotation_file, one.image_root, one.folder)
    return _bounded(dataset, links)


def _bounded(dataset: Dataset, links: bool) -> Dataset:
    """Allow links out of the data set's folder, or not."""
    bounds = Path("/") if links else dataset.folder
    train, val = (
        Split(split.name, split.annotation_file, split.image_root, bounds)
        for split in dataset.splits
    )
    dataset.splits = train, val
    return dataset


def nearest(folder: Path) -> str:
    """What is in a folder that has no layout, and which layout it resembles."""
    try:
        names = sorted(entry.name + "/" * entry.is_dir() for entry in folder.iterdir())
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    if not names:
        return "it is empty"
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    found = f"it has {', '.join(map(shown, names[:MAX_LISTED]))}{more}"
    guess = _guess(folder, {name.lower() for name in names})
    return f"{found}; {guess}" if guess else found


def _guess(folder: Path, names: set[str]) -> str:
    ends = {Path(name).suffix for name in names}
    if names & {"annotations/", "jpegimages/", "imagesets/"} and ".json" not in ends:
        lacking = [f"{part}/" for part in ("Annotations", "JPEGImages")
                   if not holds((folder / part).is_dir)]  # fmt: skip
        return f"the nearest layout is Pascal VOC's, and {' and '.join(lacking)} is missing"
    if "labels/" in names or ".txt" in ends:
        return (
            "the nearest layout is YOLO's, and data.yaml, which names the classes and the splits, "
            "is missing"
        )
    if ".json" in ends:
        return (
            "the nearest layout is COCO's, and its annotation files must be named "
            "instances_train.json and instances_val.json"
        )
    if ".xml" in ends:
        return "the nearest layout is Pascal VOC's, whose XML files are in Annotations/"
    inner = [name for name in sorted(names) if name.endswith("/")]
    for place in sorted(folder.iterdir()):
        if place.is_dir() and is_dataset(place):
            return f"the data set seems to be the folder {place.name}/ in it"
    has_images = bool(images_below(folder)[:1]) if len(inner) < 1000 else False
    return "there are images, but no annotation file" if has_images else ""


def is_dataset(folder: Path) -> bool:
    """Whether a layout fits a folder."""
    fits = (coco.is_coco, coco.single_file_of, *(fits for fits, _ in _OTHERS))
    return any(test(folder) for test in fits)
