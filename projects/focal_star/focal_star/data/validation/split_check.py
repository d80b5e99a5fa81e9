"""The check of one split in COCO's format: its annotation file and its images.

:mod:`focal_star.data.validation.checks` states the rules.
"""

import os
import unicodedata
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from focal_star.data.layouts.coco_values import MAX_ID, are_finite
from focal_star.data.layouts.dataset import FileState, Stamp
from focal_star.data.layouts.json_files import read_json
from focal_star.data.layouts.problems import Problem, holds
from focal_star.data.layouts.split import SOURCE, Split
from focal_star.data.validation.annotations import box_faults, other_faults
from focal_star.data.validation.description import describe_content
from focal_star.data.validation.doubts import AnnotationAndSize, form_of_boxes
from focal_star.data.validation.image_facts_cache import facts_of
from focal_star.data.validation.images import PLAIN, ImageFacts, ImageOptions
from focal_star.io.quoting import shown

MAX_NAME_LENGTH = 200
"""Characters of a category's name, which becomes a line of tables and figures."""

MAX_OBJECTS = 10_000
"""Each is compared with each anchor of the image: more would need gigabytes."""

MAX_SIDE = 2**31 - 1
"""Width or height, px; no image format allows more."""

EMPTY_IN_COCO = {"instances_train2017.json": (200365, 550395)}
"""COCO's own annotation file -> ids of its images with a box without area, which the loader leaves
out. COCO must pass."""


class _Place:
    """Where an entry is, in words that are made only where they are needed."""

    __slots__ = ("_entry", "_has_file", "_index", "_key")

    def __init__(self, key: str, index: int, entry: Any, has_file: bool):
        self._key, self._index, self._entry = key, index, entry
        self._has_file = has_file

    def __str__(self) -> str:
        entry = self._entry
        names = [shown(entry[k]) for k in ("file_name", "name") if k in entry]
        has_id = "id" in entry and (self._has_file or self._key == "categories")
        names += [f"id {shown(entry['id'])}"] if has_id else []
        if not self._has_file:  # its place is that in the source
            source = shown(entry[SOURCE])[1:-1] if SOURCE in entry else ""
            text = ", ".join(names)
            return f"{text} ({source})" if text and source else text or source
        where = f"{self._key}[{self._index}]"
        return f"{where} ({', '.join(names)})" if names else where


@dataclass
class SplitCheck:
    """Reads one split, collects its problems, and keeps what it has read.

    Attributes:
        split: the split.
        options: how its images are read.
        problems: in the order of the file; empty if the split is valid.
        categories: the name, "" where it is invalid, by category id.
        image_ids: the image id, None where it is invalid, by file name.
        sizes: (width, height) in pixels by image id, None where neither file nor JSON gives one.
        facts: of the images that are objects, in the order of the file.
    """

    split: Split
    options: ImageOptions = PLAIN
    problems: list[Problem] = field(default_factory=list)
    categories: dict[int, str] = field(default_factory=dict)
    image_ids: dict[str, int | None] = field(default_factory=dict)
    sizes: dict[int, tuple[int, int] | None] = field(default_factory=dict)
    facts: list[ImageFacts] = field(default_factory=list)
    _other_sizes: set[int] = field(default_factory=set)
    _content: dict | None = None
    _file: FileState | None = None
    _targets: dict[str, str] = field(default_factory=dict)

    @property
    def _root_name(self) -> str:
        return f"{self.split.image_root.name}/"

    @property
    def content(self) -> dict:
        """The content of the annotation file; {} where it cannot be read."""
        return self._content or {}

    def read(self) -> "SplitCheck":
        """Read the annotation file and check it; return this object."""
        return self.run(*read_json(self.split.annotation_file, self.split.name, self.problems))

    def run(self, content: dict | None, file: FileState | None) -> "SplitCheck":
        """Check the split, and return this object.

        Args:
            content: of the annotation file; None where it cannot be read, which was reported.
            file: which content it is.
        """
        self._content, self._file = content, file
        categories = self._entries(content, "categories")
        images = self._entries(content, "images")
        annotations = self._entries(content, "annotations")
        has_root = holds(self.split.image_root.is_dir)
        if not has_root and content is not None:
            self._add("missing-file", "", f"there is no folder {shown(str(self.split.image_root))}")
        if categories is not None:
            self._check_categories(categories)
        if images is not None:
            self._check_images(images, has_root)
        if annotations is not None:
            # A list that is missing was reported once: its ids are unknown.
            self._check_annotations(
                annotations,
                image_ids=None if images is None else self.sizes.keys(),
                category_ids=self.categories.keys() or None,
            )
        return self

    def describe(self) -> dict[str, Any]:
        """The description of a valid split; see
        :func:`focal_star.data.validation.description.describe`."""
        assert not self.problems, self.problems
        assert self._content is not None and self._file is not None, "the split has not been read"
        return describe_content(
            self.split, self._content, self._file, self.facts, self.options.bit_depth
        )

    @property
    def stamp(self) -> Stamp | None:
        """The stamp of the annotation file, from before it was read."""
        return None if self._file is None else self._file.stamp

    def entries(self, key: str) -> list[tuple[str, dict]]:
        """The objects of one of COCO's three lists, each after the words that locate it."""
        entries = self.content.get(key)
        return [
            (str(_Place(key, index, entry, self.split.has_file)), entry)
            for index, entry in enumerate(entries if isinstance(entries, list) else ())
            if isinstance(entry, dict)
        ]

    def named_facts(self) -> list[tuple[str, ImageFacts]]:
        """File name and facts of each image."""
        images = self.content.get("images")
        entries = [e for e in images if isinstance(e, dict)] if isinstance(images, list) else []
        return [(str(e.get("file_name")), f) for e, f in zip(entries, self.facts, strict=False)]

    def _add(self, kind: str, where: _Place | str, text: str) -> None:
        place = "" if where and not self.split.has_file else self.split.annotation_file.name
        place = ": ".join(str(part) for part in (place, where) if part)
        self.problems.append(Problem(self.split.name, kind, f"{place}: {text}"))

    def _entries(self, content: dict | None, key: str) -> list[tuple[_Place, dict]] | None:
        """The objects of one of COCO's three lists, each after the words that locate it."""
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
            where = _Place(key, index, entry, self.split.has_file)
            if isinstance(entry, dict):
                objects.append((where, entry))
            else:
                text = f"must be an object, got {shown(entry)}"
                self._add("not-coco", f"{key}[{index}]", text)
        return objects

    def _valid_id(self, where: _Place, entry: dict, key: str) -> int | None:
        value = entry.get(key)
        if type(value) is int and 0 <= value <= MAX_ID:
            return value
        given = f"got {shown(value)}" if key in entry else "the key is missing"
        text = f"{key} must be an integer from 0 to 2^63 - 1; {given}"
        if type(value) is str or (type(value) is int and value > MAX_ID):
            text += "; number such ids anew, in the images and annotations alike"
        self._add("not-coco", where, text)
        return None

    def _unique_id(
        self, where: _Place, entry: dict, seen: dict[int, _Place], noun: str
    ) -> int | None:
        entry_id = self._valid_id(where, entry, "id")
        if entry_id is not None and seen.setdefault(entry_id, where) is not where:
            text = f"the id {entry_id} is already that of {seen[entry_id]}"
            self._add(f"duplicate-{noun}-id", where, text)
        return entry_id

    def _check_categories(self, entries: list[tuple[_Place, dict]]) -> None:
        seen_ids: dict[int, _Place] = {}
        seen_names: dict[str, _Place] = {}
        for where, entry in entries:
            category_id = self._unique_id(where, entry, seen_ids, "category")
            name = entry.get("name")
            if not isinstance(name, str) or not name:
                given = f", got {shown(name)}" if "name" in entry else "; the key is missing"
                text = f"name must be a string that is not empty{given}"
                self._add("not-coco", where, text)
                name = ""
            elif len(name) > MAX_NAME_LENGTH or not _is_one_line(name):
                text = f"name must be one line of at most {MAX_NAME_LENGTH} characters"
                self._add("not-coco", where, f"{text}, got {len(name)}: {shown(name)}")
            elif seen_names.setdefault(name, where) is not where:
                text = f"the name {shown(name)} is already that of {seen_names[name]}"
                self._add("duplicate-category-name", where, text)
            if category_id is not None:
                self.categories.setdefault(category_id, name)

    def _check_images(self, entries: list[tuple[_Place, dict]], has_root: bool) -> None:
        seen_ids: dict[int, _Place] = {}
        seen_names: dict[str, _Place] = {}
        ids: list[int | None] = []
        names: list[str | None] = []
        for where, entry in entries:
            image_id = self._unique_id(where, entry, seen_ids, "image")
            name = self._file_name(where, entry)
            if name is not None:
                if seen_names.setdefault(name, where) is not where:
                    text = f"the file {shown(name)} is already that of {seen_names[name]}"
                    self._add("duplicate-file-name", where, text)
                self.image_ids.setdefault(name, image_id)
            ids.append(image_id)
            names.append(name if has_root else None)
        self.facts = facts_of(names, self.split.image_root, self.split.name, self.options)
        for image_id, (where, entry), facts in zip(ids, entries, self.facts, strict=True):
            if facts.fault:
                kind, text = facts.fault
                self._add(kind, where, text)
            size = self._check_size(where, entry, facts)
            if image_id is not None:
                self.sizes.setdefault(image_id, size)
                if facts.size is not None and contradicts(entry, facts.size):
                    self._other_sizes.add(image_id)

    def _file_name(self, where: _Place, entry: dict) -> str | None:
        """The image's path below images/, in one spelling; None where it may not be opened."""
        name = entry.get("file_name")
        if not isinstance(name, str) or not name or "\0" in name:
            given = f", got {shown(name)}" if "file_name" in entry else "; the key is missing"
            text = f"file_name must be a path below {self._root_name}{given}"
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
            target = self._target(name)
            outside = all(os.path.commonpath([bound, target]) != bound for bound in self._bounds)
        except (OSError, ValueError):  # a name that this file system cannot have: missing, then
            outside = False
        if outside:
            text = f"file_name {shown(name)} is a link out of the data set, to {shown(target)}; "
            text += "DATASETS.LINKS True allows that"
            self._add("path-outside", where, text)
            return None
        return str(path)

    @cached_property
    def _bounds(self) -> tuple[str, ...]:
        """The folders that an image may be in, once links are resolved."""
        folders = (self.split.image_root, self.split.folder or self.split.image_root)
        return tuple(dict.fromkeys(map(os.path.realpath, folders)))

    def _target(self, name: str) -> str:
        """The path of an image, once links are resolved."""
        folder, _, file = name.rpartition("/")
        if folder not in self._targets:
            self._targets[folder] = os.path.realpath(os.path.join(self._bounds[0], folder))
        path = os.path.join(self._targets[folder], file)
        return os.path.realpath(path) if os.path.islink(path) or file in ("", ".") else path

    def _check_size(self, where: _Place, entry: dict, facts: ImageFacts) -> tuple[int, int] | None:
        """Compare the JSON's size with the file's; return the file's, or else the JSON's."""
        given: tuple[Any, Any] = entry.get("width"), entry.get("height")
        if not all(type(side) is int and 0 < side <= MAX_SIDE for side in given):
            text = f"width and height must be integers from 1 to {MAX_SIDE}, got {shown(given)}"
            self._add("image-size", where, text)
            return facts.size
        if facts.size is not None and facts.size != given:
            text = f"width x height is {given[0]} x {given[1]}, the file's is "
            text += f"{facts.size[0]} x {facts.size[1]}"
            text += " once turned by its EXIF orientation" if facts.is_turned else ""
            self._add("image-size", where, text)
        return facts.size or given

    def _check_annotations(
        self,
        entries: list[tuple[_Place, dict]],
        image_ids: Collection[int] | None,
        category_ids: Collection[int] | None,
    ) -> None:
        seen_ids: dict[int, _Place] = {}
        in_image: Counter[int | None] = Counter()
        boxes: list[AnnotationAndSize] = []
        has_instance = False
        valid = shown(sorted(category_ids or ()))
        empty = EMPTY_IN_COCO.get(self.split.annotation_file.name, ())
        for where, entry in entries:
            self._unique_id(where, entry, seen_ids, "annotation")
            image_id = self._valid_id(where, entry, "image_id")
            in_image[image_id] += 1
            if image_id is not None and in_image[image_id] == MAX_OBJECTS + 1:
                text = f"the image of image_id {image_id} has more than {MAX_OBJECTS} annotations"
                self._add("too-many-objects", where, text)
            if image_id is not None and image_ids is not None and image_id not in image_ids:
                self._add("unknown-image", where, f"there is no image of image_id {image_id}")
            category_id = self._valid_id(where, entry, "category_id")
            if not (category_id is None or category_ids is None or category_id in category_ids):
                text = f"there is no category of category_id {category_id};"
                text += f" valid are {valid}"
                self._add("unknown-category", where, text)
            size = None if image_id is None else self.sizes.get(image_id)
            box = entry.get("bbox")
            for kind, text in box_faults(box, size):
                if kind != "empty-box" or image_id not in empty:
                    self._add(kind, where, text)
            if (
                isinstance(box, list)
                and len(box) == 4
                and are_finite(box)
                and not entry.get("iscrowd")
                and SOURCE not in entry  # the form of converted boxes is known
            ):
                boxes.append((entry, None if image_id in self._other_sizes else size))
            for kind, text in other_faults(entry):
                self._add(kind, where, text)
            has_instance = has_instance or not entry.get("iscrowd")
        form = form_of_boxes(self.split.name, self.split.annotation_file.name, boxes)
        if form is not None:  # it explains what the boxes alone were reported for
            of_boxes = ("box-outside", "empty-box")
            self.problems = [p for p in self.problems if p.kind not in of_boxes] + [form]
        if not has_instance:
            text = "there is no annotation to train or test on"
            self._add("no-annotations", "", text + (" (all are crowds)" if entries else ""))


def contradicts(image: dict, size: tuple[int, int]) -> bool:
    """Whether an entry of an image gives a width or height that is not the one of its file, px."""
    given = image.get("width"), image.get("height")
    return any(value and str(value) != str(side) for value, side in zip(given, size, strict=True))


def _is_one_line(text: str) -> bool:
    """Whether a text has neither control characters nor lone surrogates."""
    return not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in text)
