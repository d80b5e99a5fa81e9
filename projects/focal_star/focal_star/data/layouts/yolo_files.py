"""Finds the classes and the images of a folder in one of YOLO's layouts.

* Ultralytics's: a YAML file (``data.yaml``) with ``names`` (a list or a mapping), ``train``,
  ``val`` and ``test`` (a folder of images, a text file that lists images, or several of these),
  relative to ``path``. Also Roboflow's and FiftyOne's exports.
* Darknet's (CVAT's "YOLO 1.1"): ``obj.data`` with ``names``, ``train`` and ``valid``.
* Label Studio's and labelImg's: ``images/``, ``labels/`` and ``classes.txt``, which may be in
  ``labels/``, without splits unless these have folders ``train`` and ``val``, or are in such
  folders; also FiftyOne's YOLOv4: ``obj.names`` and ``data/``, and Roboflow's Darknet:
  ``train/_darknet.labels``.

The paths in these files are often those of another machine: where one is not there, its end is
looked for in the data set's folder. Roboflow names ``valid/`` and ``test/`` even where there are no
such images, which is no fault.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from focal_star.data.layouts.file_names import (
    ImageFolder,
    images_below,
    is_as_named,
    is_image_name,
    listed,
)
from focal_star.data.layouts.problems import holds
from focal_star.data.layouts.split import (
    HELD_OUT_NAMES,
    TEST_NAMES,
    TRAIN_NAMES,
    VAL_NAMES,
    is_name_of_split,
    kinds_of_splits,
)
from focal_star.io import yaml_text
from focal_star.io.quoting import shown

MAX_CHARACTERS = 2**22
MAX_LEVELS, MAX_ALIASES = 10, 0
"""Limits of a YAML file; a few aliases of aliases expand to billions of values."""

_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
"""Every value stays the text that it is: a class named ``no`` is no False."""

_YAML_NAMES = ("data.yaml", "dataset.yaml", "data.yml", "dataset.yml")
"""Usual names of the file; another file is taken for it only where its keys fit."""

DARKNET = "_darknet.labels"
"""The file with the names of the classes in Roboflow's Darknet exports, in each split's folder."""

_NOTHING = ("", "null", "~")


class YoloError(ValueError):
    """A file that is not of YOLO's form; the message names it."""


@dataclass
class YoloFolder:
    """What the files that describe a data set say.

    Attributes:
        description: the file with the names of the classes, relative to the folder.
        names: class number -> name.
        images: split -> the image files.
        missing: split -> what it names that is not there; mostly texts.
        keypoints: whether points follow the box in a line of a label file.
        used: the name of the entry that became the validation split; "" where there is none.
        unused: the images of ``test`` if there are other validation images.
        others: other files that describe the folder as well, and are not used.
        moved: split -> names of images in a list whose files are in another folder.
        elsewhere: words on a ``path`` to another folder of this machine; "" where there is none.
        is_undivided: whether both splits have the same images, which are then in ``train`` alone.
    """

    description: str
    names: dict[int, str]
    images: dict[str, list[Path]] = field(default_factory=dict)
    missing: dict[str, list[Any]] = field(default_factory=dict)
    keypoints: bool = False
    used: str = ""
    unused: list[Path] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    moved: dict[str, list[str]] = field(default_factory=dict)
    elsewhere: str = ""
    is_undivided: bool = False


def description_of(folder: Path) -> Path | None:
    """The file that describes YOLO's data, in the usual places first; None without one."""
    return usual_description_of(folder) or description_of_tools(folder)


def usual_description_of(folder: Path) -> Path | None:
    """A YAML file, ``obj.data``, or the names of the classes beside the labels' folder."""
    return next(_usual_descriptions(folder), None)


def _usual_descriptions(folder: Path) -> Iterator[Path]:
    names = _names_in_folder(folder)
    yield from _descriptions_in_yaml(folder)
    for name in names:
        if name.lower().endswith(".data") and holds((folder / name).is_file):
            yield folder / name
    splits = [name for name in names if is_name_of_split(name)]
    stems = {os.path.splitext(name)[0] for name in names if is_image_name(name)}
    has_labels = (
        not {"labels", "data"}.isdisjoint(names)
        or any(f"{stem}.txt" in names for stem in stems)
        or any(holds((folder / split / "labels").is_dir) for split in splits)
    )
    for name in ("classes.txt", "obj.names"):
        if name in names and has_labels:
            yield folder / name


def description_of_tools(folder: Path) -> Path | None:
    """The names of the classes among the labels or in the folders of the splits, as labelImg and
    Roboflow write them. A folder with them can also have the annotations of another layout.
    """
    places = (folder, *(folder / n for n in _names_in_folder(folder) if is_name_of_split(n)))
    of_tools = (place / name for place in places for name in ("labels/classes.txt", DARKNET))
    return next((path for path in of_tools if holds(path.is_file)), None)


def _names_in_folder(folder: Path) -> list[str]:
    """The files and folders that are not hidden; nothing where the folder cannot be listed."""
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except (OSError, ValueError):
        return []


def _descriptions_in_yaml(folder: Path) -> Iterator[Path]:
    """The YAML files that describe a data set, those with a usual name first."""
    yamls = [n for n in _names_in_folder(folder) if n.lower().endswith((".yaml", ".yml"))]
    yamls.sort(key=lambda n: n.lower() not in _YAML_NAMES)
    for name in yamls:
        try:
            content = read_yaml(folder / name)
        except YoloError:
            if name.lower() in _YAML_NAMES:
                yield folder / name  # so that its fault is reported
            continue
        has_splits = bool({"train", "val", "test"} & content.keys())
        if has_splits and (name.lower() in _YAML_NAMES or {"names", "nc"} & content.keys()):
            yield folder / name


def read_folder(folder: Path, description: Path) -> YoloFolder:
    """Read the description and list the images.

    Where the description names no image that is there, and another file of the folder describes the
    data with the same classes, that one is read.

    Raises:
        YoloError: the description is of another form.
    """
    yolo = _read(folder, description)
    if any(yolo.images.values()):
        return yolo
    for other in (path for path in _usual_descriptions(folder) if path != description):
        with suppress(YoloError):
            read = _read(folder, other)
            if read.names == yolo.names and read.images.get("train"):
                read.others.append(f"{yolo.description}, whose images are not there")
                return read
    return yolo


def _read(folder: Path, description: Path) -> YoloFolder:
    if has_only_names(description):
        return _without_description(folder, description)
    reader = _darknet if description.suffix == ".data" else _ultralytics
    yolo = reader(folder, description)
    if _has_same_images(yolo):
        yolo.is_undivided = True
        del yolo.images["val"]
    return yolo


def _has_same_images(yolo: YoloFolder) -> bool:
    train, val = (set(yolo.images.get(split, ())) for split in ("train", "val"))
    return bool(train) and train == val


def has_only_names(description: Path) -> bool:
    """Whether a file that describes YOLO's data has the names of the classes and no splits."""
    return description.suffix in (".txt", ".names", ".labels")


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; every value in it is a text, a list or a mapping.

    Raises:
        YoloError: it is not YAML, no mapping, or beyond a limit.
    """
    text = _text(path)
    try:
        faults = [next(yaml_text.faults(text, MAX_LEVELS, MAX_ALIASES, with_tags=False), None)]
        content = yaml.load(text, _LOADER) if faults == [None] else None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = str(error).replace("\n", " ")
        raise YoloError(f"{path.name}: it is not YAML: {first[:300]}") from error
    if faults != [None]:
        raise YoloError(f"{path.name}: {faults[0]}")
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise YoloError(f"{path.name}: it must be a mapping with names, train and val")
    return content


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            raise YoloError(f"{path.name}: there is no such file")
        if path.stat().st_size > MAX_CHARACTERS:
            raise YoloError(f"{path.name}: it has more than {MAX_CHARACTERS} bytes")
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as error:
        if isinstance(error, YoloError):
            raise
        raise YoloError(f"{path.name}: it is not text in UTF-8 ({error})") from error


def _ultralytics(folder: Path, description: Path) -> YoloFolder:
    content = read_yaml(description)
    names = content.get("names")
    if isinstance(names, str) and names.endswith((".txt", ".names")):
        if (file := _inside(folder, names)) is None:
            raise YoloError(f"{description.name}: names: there is no {shown(names)} in the folder")
        content["names"] = list(_names_in(file).values())
    yolo = YoloFolder(description.name, class_names(content, description.name))
    yolo.others = [p.name for p in _descriptions_in_yaml(folder) if p != description]
    yolo.keypoints = not _is_nothing(content.get("kpt_shape"))
    roots = [folder]
    path = content.get("path")
    if isinstance(path, str) and not _is_nothing(path):
        there = _inside(folder, path)
        roots = [there, folder] if there else [folder]
        if there is None and holds((folder / path).is_dir):
            yolo.elsewhere = (
                f"; path is {shown(path)}: put {description.name} into that folder, and give it as "
                "the data set"
            )
    train, test = content.get("train"), content.get("test")
    val = next((content[k] for k in ("val", "valid", "validation") if k in content), None)
    if train in ("../train/images", "train/images"):  # Roboflow's
        val, test = (None if _is_left_out(value, folder) else value for value in (val, test))
    if _is_nothing(val) and not _is_nothing(test):
        val, yolo.used = test, "test"
    for split, value in (("train", train), ("val", val)):
        if not _is_nothing(value):
            _add_images(yolo, split, value, roots)
    if _has_same_images(yolo) and not _is_nothing(test):
        _add_images(yolo, "val", test, roots)
        yolo.used = "test"
    if not _is_nothing(test) and not yolo.used:
        yolo.unused = _images_of(yolo, test, roots)
    if not yolo.images:
        raise YoloError(f"{description.name}: it names neither train nor val")
    return yolo


def class_names(content: dict[str, Any], place: str) -> dict[int, str]:
    """Class number -> name, of the content of a YAML file.

    Raises:
        YoloError: ``names`` is neither a list of names nor a mapping of numbers to names.
    """
    names = content.get("names")
    if _is_nothing(names):
        count = content.get("nc")
        if (
            isinstance(count, str)
            and count.isascii()
            and count.isdecimal()
            and int(count[:6]) < 10**5
        ):
            return {number: f"class {number}" for number in range(int(count[:6]))}
        raise YoloError(f"{place}: names is missing; it must be the list of the classes' names")
    if isinstance(names, str):
        names = [part.strip(" '\"") for part in names.strip("[]").split(",")]
    if isinstance(names, list):
        names = {str(number): name for number, name in enumerate(names)}
    if not isinstance(names, dict) or not all(
        isinstance(key, str) and re.fullmatch(r"[0-9]{1,6}", key) and isinstance(name, str)
        for key, name in names.items()
    ):
        raise YoloError(
            f"{place}: names must be a list of names, or a mapping of class numbers from 0 on to "
            f"names; got {shown(content['names'])}"
        )
    return {int(key): name for key, name in names.items()}


def _is_nothing(value: Any) -> bool:
    return value is None or value in ([], {}) or (isinstance(value, str) and value in _NOTHING)


def _is_left_out(value: Any, folder: Path) -> bool:
    """Whether it is a folder that Roboflow names without writing it, as there are no such images.

    A folder with another name of this split shows that the name is a mistake.
    """
    names = {"valid/images": VAL_NAMES, "test/images": TEST_NAMES}
    of_split = names.get(value.removeprefix("../")) if isinstance(value, str) else None
    return of_split is not None and not any(
        name.lower() in of_split for name in _names_in_folder(folder)
    )


def _add_images(yolo: YoloFolder, split: str, value: Any, roots: list[Path]) -> None:
    """Add the images of ``train`` or ``val``: of folders, and of files that list images."""
    images: list[Path] = []
    missing = yolo.missing.setdefault(split, [])
    for given in value if isinstance(value, list) else [value]:
        if not isinstance(given, str):
            missing.append(given)
            continue
        place = next((p for root in roots if (p := _inside(root, given)) is not None), None)
        if place is None:
            missing.append(given)
        elif place.is_dir():
            inner = place / "images"
            has_inner = not is_below_images(place) and holds(inner.is_dir)
            place = inner if has_inner else place
            images += [place / name for name in images_below(place)]
        else:
            images += _listed(yolo, split, place, roots)
    yolo.images[split] = list(dict.fromkeys(images))


def _images_of(yolo: YoloFolder, value: Any, roots: list[Path]) -> list[Path]:
    """The images of a split that is not used; its faults do not count."""
    apart = YoloFolder(yolo.description, yolo.names)
    with suppress(YoloError):
        _add_images(apart, "test", value, roots)
    return apart.images.get("test", [])


def is_below_images(path: Path) -> bool:
    return "images" in path.parts


def _inside(root: Path, name: str) -> Path | None:
    """What a path names in a folder: as it is, or what of its end is there; None for neither."""
    if "\0" in name or len(name) > 4000:
        return None
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    for start in range(len(parts) + 1):
        rest = parts[start:]
        if ".." in rest:
            continue
        if not rest and set(parts) - {".."}:
            return None  # nothing of it is there, which is not the whole folder
        if start and is_name_of_split(parts[start - 1]) and not kinds_of_splits(rest):
            continue  # another split's may have the same end
        path = root.joinpath(*rest)
        if holds(path.exists):
            return path
    return None


def content_near(folder: Path, name: str) -> str:
    """What the folder has that is as far on the way to a missing one as folders exist."""
    place = folder
    for part in name.replace("\\", "/").split("/"):
        if part in ("", ".", ".."):
            continue
        if not holds((place / part).is_dir):
            break
        place = place / part
    subject = "it" if place == folder else f"{place.relative_to(folder).as_posix()}/"
    try:
        return f"{subject} has {listed(place)}"
    except OSError:
        return ""


def _listed(yolo: YoloFolder, split: str, file: Path, roots: list[Path]) -> list[Path]:
    """The images that a text file lists, one a line."""
    images = []
    folder = roots[-1]
    search = ImageFolder(folder)
    for line in _text(file).splitlines():
        name = line.strip()
        if not name:
            continue
        plain = name.replace("\\", "/").removeprefix("./")
        is_below = "\0" not in name and not plain.startswith("/") and ".." not in plain.split("/")
        places = [root / plain for root in (*roots, file.parent)] if is_below else []
        path = next((place for place in places if holds(place.is_file)), None)
        if path is None and (below := search.find(name, folder, split)) is not None:
            path = folder / below
            if not is_as_named(path, "/".join(plain.split("/")[-2:]), folder):
                yolo.moved.setdefault(split, []).append(shown(name))
        if path is None:
            yolo.missing[split].append(name)
        else:
            images.append(path)
    return images


def _darknet(folder: Path, description: Path) -> YoloFolder:
    content: dict[str, str] = {}
    for line in _text(description).splitlines():
        key, equals, value = line.partition("=")
        if equals:
            content[key.strip()] = value.strip()
    names = _inside(folder, content.get("names", "")) if content.get("names") else None
    if names is None or not names.is_file():
        raise YoloError(f"{description.name}: its names is no file of class names in the folder")
    yolo = YoloFolder(description.name, _names_in(names))
    val = next((content[k] for k in ("valid", "val", "test") if content.get(k)), "")
    for split, value in (("train", content.get("train", "")), ("val", val)):
        if value:
            _add_images(yolo, split, value, [folder])
    if content.get("test") not in ("", None, val):
        yolo.unused = _images_of(yolo, content["test"], [folder])
    if not yolo.images:
        raise YoloError(f"{description.name}: it names neither train nor valid")
    return yolo


def _names_in(path: Path) -> dict[int, str]:
    return {n: line.strip() for n, line in enumerate(_text(path).rstrip().splitlines())}


def _without_description(folder: Path, classes: Path) -> YoloFolder:
    yolo = YoloFolder(classes.relative_to(folder).as_posix(), _names_in(classes))
    split, *rest = classes.relative_to(folder).parts
    others = [n for n in _names_in_folder(folder) if is_name_of_split(n) and n != split]
    for other in (folder.joinpath(name, *rest) for name in others if is_name_of_split(split)):
        if holds(other.is_file) and _names_in(other) != yolo.names:
            raise YoloError(
                f"{yolo.description}: its classes differ from those in "
                f"{other.relative_to(folder).as_posix()}; all splits must have the same classes"
            )
    places = (folder / "images", folder / "data")
    images = next((place for place in places if holds(place.is_dir)), folder)
    for split, names in (("train", TRAIN_NAMES), ("val", HELD_OUT_NAMES)):
        of_split = next((images / n for n in names if holds((images / n).is_dir)), None)
        if of_split is not None:
            yolo.images[split] = [of_split / name for name in images_below(of_split)]
    if not yolo.images:
        yolo.images["train"] = [images / name for name in images_below(images)]
    return yolo
