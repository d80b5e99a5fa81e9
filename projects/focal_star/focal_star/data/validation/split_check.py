"""The check of one split of a COCO-format data set: its annotation file and its images.

`focal_star.data.validation.checks` has the rules, in words, and what a caller wants.
"""

import json
import os
import unicodedata
from collections import Counter
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from focal_star.data.problems import Problem, holds, shown
from focal_star.data.validation.annotation_faults import box_faults, other_faults
from focal_star.data.validation.image_faults import Decoded, decode

SOURCE = "source"
"""Key of a converted entry, if it has one: the file, and the entry there, that it was made of."""

MOST_LEVELS = 20
"""Lists and objects within one another; COCO's own files have five."""

LONGEST_NAME = 200
"""Of a category, in characters: it becomes a line of tables and figures."""

MOST_OBJECTS = 10_000
"""Of an image. Each is compared with each anchor of it: that many would need gigabytes."""

LARGEST_ID = 2**63 - 1
"""Of an image, an annotation or a category: libraries keep ids in 64 bits."""

LONGEST_SIDE = 2**31 - 1
"""Of an image, in px; no format has longer ones."""

EMPTY_IN_COCO = {"instances_train2017.json": (200365, 550395)}
"""Annotation file of COCO's own -> ids of its images with a box without area, which the loader
leaves out (github.com/cocodataset/cocoapi, issue 355). COCO is to pass."""


@dataclass(frozen=True)
class Split:
    """One half of a data set: ``train`` or ``val``."""

    name: str
    annotation_file: Path
    image_root: Path


@dataclass
class SplitCheck:
    """Reads one split and collects its problems; what was understood stays for later checks.

    Attributes:
        split: what is checked.
        bit_depth: ``INPUT.BIT_DEPTH`` that its images will be read with.
        problems: in the order of the file.
        categories: the name, "" where it is invalid, by category id.
        image_ids: the image id, None where it is invalid, by file name.
        sizes: (width, height) in pixels by image id, None where neither file nor JSON gives one.
    """

    split: Split
    bit_depth: int | None = None
    problems: list[Problem] = field(default_factory=list)
    categories: dict[int, str] = field(default_factory=dict)
    image_ids: dict[str, int | None] = field(default_factory=dict)
    sizes: dict[int, tuple[int, int] | None] = field(default_factory=dict)

    @property
    def _root_name(self) -> str:
        return f"{self.split.image_root.name}/"

    def run(self) -> "SplitCheck":
        content = self._read()
        categories = self._entries(content, "categories")
        images = self._entries(content, "images")
        annotations = self._entries(content, "annotations")
        has_root = holds(self.split.image_root.is_dir)
        if not has_root:
            self._add("missing-file", "", f"there is no folder {shown(str(self.split.image_root))}")
        if categories is not None:
            self._check_categories(categories)
        if images is not None:
            self._check_images(images, has_root)
        if annotations is not None:
            # Where a whole list is missing, that was said once: no id can be looked up in it.
            self._check_annotations(
                annotations,
                image_ids=None if images is None else self.sizes.keys(),
                category_ids=None if categories is None else self.categories.keys(),
            )
        return self

    def _add(self, kind: str, where: str, text: str) -> None:
        place = self.split.annotation_file.name + (f": {where}" if where else "")
        self.problems.append(Problem(self.split.name, kind, f"{place}: {text}"))

    def _read(self) -> dict | None:
        path = self.split.annotation_file
        try:
            # A pipe or a device would block or never end.
            if path.exists() and not path.is_file():
                raise OSError("it is not a regular file")
            text = path.read_bytes().decode("utf-8")
            content = json.loads(text, object_pairs_hook=_only_once)
            if _is_deeper(content, MOST_LEVELS):
                raise RecursionError
        except FileNotFoundError:
            self._add("missing-file", "", f"there is no such file in {shown(str(path.parent))}")
        except OSError as error:
            self._add("missing-file", "", f"cannot be read: {error.strerror or error}")
        except UnicodeDecodeError as error:
            self._add("not-json", "", f"is not UTF-8 text (byte {error.start})")
        except ValueError as error:
            self._add("not-json", "", f"is not JSON: {error}")
        except RecursionError:
            self._add("not-json", "", "is nested too deeply to be a COCO file")
        else:
            if isinstance(content, dict):
                return content
            self._add("not-coco", "", f"must be an object, got {shown(content)}")
        return None

    def _entries(self, content: dict | None, key: str) -> list[tuple[str, dict]] | None:
        """The objects of one of COCO's three lists, each with the words that say where it is."""
        if content is None:
            return None
        entries = content.get(key)
        if not isinstance(entries, list):
            given = f"got {shown(entries)}" if key in content else "the key is missing"
            self._add("not-coco", "", f"{key} must be a list of objects; {given}")
            return None
        if not entries and key != "annotations":
            self._add(f"no-{key}", "", f"the list of {key} is empty")
        objects = []
        for index, entry in enumerate(entries):
            where = f"{key}[{index}]"
            if not isinstance(entry, dict):
                self._add("not-coco", where, f"must be an object, got {shown(entry)}")
                continue
            names = [shown(entry[k]) for k in ("file_name", "name") if k in entry]
            names += [f"id {shown(entry['id'])}"] if "id" in entry else []
            names += [shown(entry[SOURCE])] if SOURCE in entry else []
            objects.append((f"{where} ({', '.join(names)})" if names else where, entry))
        return objects

    def _valid_id(self, where: str, entry: dict, key: str) -> int | None:
        value = entry.get(key)
        if type(value) is int and 0 <= value <= LARGEST_ID:
            return value
        given = f"got {shown(value)}" if key in entry else "the key is missing"
        text = f"{key} must be an integer from 0 to 2^63 - 1; {given}"
        if type(value) is str or (type(value) is int and value > LARGEST_ID):
            text += "; number such ids anew, in the images and annotations alike"
        self._add("not-coco", where, text)
        return None

    def _unique_id(self, where: str, entry: dict, seen: dict[int, str], noun: str) -> int | None:
        entry_id = self._valid_id(where, entry, "id")
        if entry_id is not None and seen.setdefault(entry_id, where) != where:
            text = f"the id {entry_id} is already that of {seen[entry_id]}"
            self._add(f"duplicate-{noun}-id", where, text)
        return entry_id

    def _check_categories(self, entries: list[tuple[str, dict]]) -> None:
        seen_ids: dict[int, str] = {}
        seen_names: dict[str, str] = {}
        for where, entry in entries:
            category_id = self._unique_id(where, entry, seen_ids, "category")
            name = entry.get("name")
            if not isinstance(name, str) or not name:
                text = f"name must be a string that is not empty, got {shown(name)}"
                self._add("not-coco", where, text)
                name = ""
            elif len(name) > LONGEST_NAME or not _is_one_line(name):
                text = f"name must be one line of at most {LONGEST_NAME} characters"
                self._add("not-coco", where, f"{text}, got {len(name)}: {shown(name)}")
            elif seen_names.setdefault(name, where) != where:
                text = f"the name {shown(name)} is already that of {seen_names[name]}"
                self._add("duplicate-category-name", where, text)
            if category_id is not None:
                self.categories.setdefault(category_id, name)

    def _check_images(self, entries: list[tuple[str, dict]], has_root: bool) -> None:
        seen_ids: dict[int, str] = {}
        seen_names: dict[str, str] = {}
        ids, paths = [], []
        for where, entry in entries:
            image_id = self._unique_id(where, entry, seen_ids, "image")
            name = self._file_name(where, entry)
            if name is not None:
                if seen_names.setdefault(name, where) != where:
                    text = f"the file {shown(name)} is already that of {seen_names[name]}"
                    self._add("duplicate-file-name", where, text)
                self.image_ids.setdefault(name, image_id)
            ids.append(image_id)
            paths.append(self.split.image_root / name if has_root and name is not None else None)
        # Pillow lets go of the interpreter while it decodes, so threads use every core.
        with ThreadPoolExecutor() as pool:
            decoded_images = pool.map(partial(decode, bit_depth=self.bit_depth), paths)
            for image_id, (where, entry), decoded in zip(ids, entries, decoded_images, strict=True):
                if decoded.error:
                    self._add(decoded.kind, where, decoded.error)
                size = self._check_size(where, entry, decoded)
                if image_id is not None:
                    self.sizes.setdefault(image_id, size)

    def _file_name(self, where: str, entry: dict) -> str | None:
        """The image's path below images/, in one spelling; None where it may not be opened."""
        name = entry.get("file_name")
        if not isinstance(name, str) or not name or "\0" in name:
            text = f"file_name must be a path below {self._root_name}, got {shown(name)}"
            self._add("not-coco", where, text)
            return None
        if "\\" in name:
            text = f"file_name {shown(name)} must have '/' between folders, not a backslash"
            self._add("path-outside", where, text)
            return None
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            text = f"file_name {shown(name)} must be relative to {self._root_name}, without '..'"
            self._add("path-outside", where, text)
            return None
        try:
            root = os.path.realpath(self.split.image_root)
            target = os.path.realpath(os.path.join(root, name))
            outside = os.path.commonpath([root, target]) != root
        except (OSError, ValueError):  # a name that this file system cannot have: missing, then
            outside = False
        if outside:
            text = f"file_name {shown(name)} is a link out of {self._root_name}, to {shown(target)}"
            self._add("path-outside", where, text)
            return None
        return str(path)

    def _check_size(self, where: str, entry: dict, decoded: Decoded) -> tuple[int, int] | None:
        """Compare the JSON's size with the file's; return the file's, or else the JSON's."""
        given = (entry.get("width"), entry.get("height"))
        if not all(type(side) is int and 0 < side <= LONGEST_SIDE for side in given):
            text = f"width and height must be integers from 1 to {LONGEST_SIDE}, got {shown(given)}"
            self._add("image-size", where, text)
            return decoded.size
        if decoded.size is not None and decoded.size != given:
            text = f"width x height is {given[0]} x {given[1]}, the file's is "
            text += f"{decoded.size[0]} x {decoded.size[1]}"
            text += " once turned by its EXIF orientation" if decoded.turned else ""
            self._add("image-size", where, text)
        return decoded.size or given

    def _check_annotations(
        self,
        entries: list[tuple[str, dict]],
        image_ids: Collection[int] | None,
        category_ids: Collection[int] | None,
    ) -> None:
        seen_ids: dict[int, str] = {}
        in_image: Counter[int | None] = Counter()
        has_instance = False
        valid = shown(sorted(category_ids or ()))
        empty = EMPTY_IN_COCO.get(self.split.annotation_file.name, ())
        for where, entry in entries:
            self._unique_id(where, entry, seen_ids, "annotation")
            image_id = self._valid_id(where, entry, "image_id")
            in_image[image_id] += 1
            if image_id is not None and in_image[image_id] == MOST_OBJECTS + 1:
                text = f"the image of image_id {image_id} has more than {MOST_OBJECTS} annotations"
                self._add("too-many-objects", where, text)
            if None not in (image_id, image_ids) and image_id not in image_ids:
                self._add("unknown-image", where, f"there is no image of image_id {image_id}")
            category_id = self._valid_id(where, entry, "category_id")
            if None not in (category_id, category_ids) and category_id not in category_ids:
                text = f"there is no category of category_id {category_id};"
                text += f" valid are {valid}"
                self._add("unknown-category", where, text)
            for kind, text in box_faults(entry.get("bbox"), self.sizes.get(image_id)):
                if kind != "empty-box" or image_id not in empty:
                    self._add(kind, where, text)
            for kind, text in other_faults(entry):
                self._add(kind, where, text)
            has_instance = has_instance or not entry.get("iscrowd")
        if not has_instance:
            text = "there is no annotation to learn from or to test on"
            self._add("no-annotations", "", text + (" (all are crowds)" if entries else ""))


def _only_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in content if names.count(name) > 1)
        raise ValueError(f"the key {shown(twice)} is there twice in an object")
    return content


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether lists and objects are nested more than so many levels deep."""
    if not isinstance(value, dict | list):
        return False
    if levels == 0:
        return True
    values = value.values() if isinstance(value, dict) else value
    return not _PLAIN.issuperset(map(type, values)) and any(
        _is_deeper(item, levels - 1) for item in values
    )


_PLAIN = {bool, float, int, str, type(None)}


def _is_one_line(text: str) -> bool:
    """Whether a text has no control characters, and no halves of characters."""
    return not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in text)
