"""The readers of files and texts that others write, as the fuzzers call them.

Each reader takes a case and returns whether it was accepted. It must refuse by its documented
error alone, in a message of bounded length; what it accepts must be of use to what comes after.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

from detectron2.config import CfgNode
from detectron2.data.datasets.coco import load_coco_json
from msgspec.structs import asdict
from PIL import Image

from ablations.records import record as records
from ablations.records.record import RecordError
from ablations.storage.reading import PlanError
from ablations.study.cell import Cell
from ablations.study.grid import load_grid
from focal_star.config import derive, merge_overrides, resolve_config
from focal_star.data.layouts.problems import Problem
from focal_star.data.layouts.split import Split
from focal_star.data.layouts.yolo import convert, read_labels
from focal_star.data.layouts.yolo_files import (
    YoloError,
    YoloFolder,
    description_of,
    read_folder,
)
from focal_star.data.validation import image_facts_cache
from focal_star.data.validation.checks import check_split
from focal_star.errors import ConfigError
from tests.fuzz import documents
from tests.fuzz.cases import JSON_TOKENS, LABEL_TOKENS, VALUES, YAML_TOKENS, Texts, number, text

MAX_MESSAGE = 20_000
"""The max number of characters of an error message for a small case."""


@dataclass(frozen=True)
class Reader:
    """A reader and its cases.

    Attributes:
        name: of the reader.
        cases: draws what it is given.
        accepts: whether it accepts a case; anything that it raises is a fault.
    """

    name: str
    cases: Callable[[Random], Any]
    accepts: Callable[[Any], bool]


def annotations(folder: Path) -> Reader:
    """``focal_star.data.validation.checks``; what it accepts, Detectron2's loader must load."""
    images = folder / "images"
    images.mkdir(parents=True)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (16, 12)).save(images / name)
    split = Split("train", folder / "instances_train.json", images)

    def accepts(case: bytes) -> bool:
        split.annotation_file.write_bytes(case)
        with mock.patch.object(image_facts_cache, "ThreadPoolExecutor", _NoThreads):
            check = check_split(split)
        assert all(len(problem.message) < MAX_MESSAGE for problem in check.problems)
        if check.problems:
            return False
        check.describe()
        loaded = load_coco_json(str(split.annotation_file), str(images))
        content = json.loads(case)
        assert len(loaded) == len(content["images"]), "an image was dropped"
        kept = sum(len(image["annotations"]) for image in loaded)
        assert kept == len(content["annotations"]), "an annotation was dropped"
        return True

    return Reader("annotations", Texts(documents.coco(), JSON_TOKENS), accepts)


def yolo(folder: Path) -> Reader:
    """``focal_star.data.layouts.yolo``, given a YAML file or a file of labels."""
    for split, name in (("train", "a.png"), ("val", "b.png")):
        for part in ("images", "labels"):
            (folder / part / split).mkdir(parents=True)
        Image.new("RGB", (16, 12)).save(folder / "images" / split / name)
        (folder / "labels" / split / name).with_suffix(".txt").write_text(documents.YOLO_LABELS)
    description, labels = folder / "data.yaml", folder / "labels" / "train" / "a.txt"
    description.write_bytes(documents.YOLO_YAML)
    of_yaml = Texts(documents.yolo(), YAML_TOKENS, [documents.YOLO_YAML])
    of_labels = Texts([[0, 0.5, 0.5, 0.25, 0.5]], LABEL_TOKENS, [LABELS])

    def cases(random: Random) -> tuple[str, bytes, bool]:
        """The file, its content, and whether the whole folder is converted with it."""
        is_whole = random.randrange(20) == 0
        if random.randrange(4) == 0:
            return "yaml", of_yaml(random), is_whole
        return "labels", of_labels(random), is_whole

    sound = read_folder(folder, description)

    def accepts(case: tuple[str, bytes, bool]) -> bool:
        kind, content, is_whole = case
        file, old = (description, documents.YOLO_YAML) if kind == "yaml" else (labels, LABELS)
        file.write_bytes(content)
        try:
            if not is_whole:
                return _reads_yolo(folder, file if kind == "labels" else None, sound)
            return _converts_yolo(folder)
        finally:
            file.write_bytes(old)

    return Reader("yolo", cases, accepts)


LABELS = documents.YOLO_LABELS.encode()


def _reads_yolo(folder: Path, labels: Path | None, sound: YoloFolder) -> bool:
    """Whether a file of labels, or the YAML file, is accepted."""
    problems: list[Problem] = []
    if labels is not None:
        objects = read_labels(labels, "labels/a.txt", sound, "train", problems)
        for _, one in objects:
            assert one["class"] in sound.names and all(map(math.isfinite, one["corners"]))
        assert all(len(problem.message) < MAX_MESSAGE for problem in problems)
        return not problems
    try:
        found = read_folder(folder, folder / "data.yaml")
    except YoloError as error:
        assert 10 < len(str(error)) < MAX_MESSAGE
        return False
    for images in found.images.values():
        assert all(image.is_relative_to(folder) for image in images)
    return not any(found.missing.values())


def _converts_yolo(folder: Path) -> bool:
    if description_of(folder) is None:
        return False
    dataset = convert(folder)
    assert all(len(problem.message) < MAX_MESSAGE for problem in dataset.problems)
    if dataset.problems:
        return False
    for content in dataset.contents.values():
        ids = {category["id"] for category in content["categories"]}
        for one in content["annotations"]:
            assert one["category_id"] in ids and all(map(math.isfinite, one["bbox"]))
    dataset.texts()
    return True


def record(folder: Path) -> Reader:
    """``ablations.records.record``; what it accepts can be saved and loaded again."""
    folder.mkdir(parents=True)
    path = folder / "ce-seed1.json"
    again = folder / "again" / path.name

    def accepts(case: bytes) -> bool:
        path.write_bytes(case)
        try:
            found = records.load(path)
        except RecordError as error:
            _check_message(error, path)
            return False
        again.parent.mkdir(exist_ok=True)
        again.write_text(json.dumps(asdict(found), allow_nan=False), "utf-8")
        assert records.load(again) == found
        return True

    return Reader("record", Texts(documents.record(), JSON_TOKENS), accepts)


def grid(folder: Path) -> Reader:
    """``ablations.study.grid``; what it accepts has cells whose names can be file names."""
    path = folder / "grids" / "fuzzed.yaml"
    published = folder / "reference" / "table.csv"
    for parent in (path.parent, published.parent):
        parent.mkdir(parents=True)
    published.write_text("alpha,AP\n0.5,10\n", "utf-8")
    axes, base = {"depth": {50: 18, 101: 34}}, {"depth": 18}

    def accepts(case: bytes) -> bool:
        path.write_bytes(case)
        try:
            found = load_grid("fuzzed", path.parent, axes, base)
        except PlanError as error:
            _check_message(error, path)
            return False
        for row in found.rows:
            name = Cell(row.setting, 1).id
            assert "/" not in name and "\0" not in name and len(name) < 250, name
            assert all(isinstance(word, str) for word in Cell(row.setting, 1).overrides())
            found.published_values(row)
        return True

    return Reader("grid", Texts(documents.grid(), YAML_TOKENS, [documents.GRID]), accepts)


def overrides(folder: Path) -> Reader:
    """The ``KEY VALUE`` pairs of ``focal_star.config``."""
    folder.mkdir(parents=True)
    path = folder / "small.yaml"
    path.write_text("MODEL: {META_ARCHITECTURE: FocalStarRetinaNet}\nVERSION: 2\n", "utf-8")
    config = resolve_config(path)
    keys = list(_keys(config))

    def accepts(case: list[str]) -> bool:
        cfg = _copied(config)
        try:
            merge_overrides(cfg, case)
            derive(cfg)
        except ConfigError as error:
            _check_message(error)
            return False
        return True

    values = [repr(value) for value in VALUES]

    def key(random: Random) -> str:
        return random.choice(random.choice([_SENSITIVE, _SENSITIVE, keys, _NO_KEYS]))

    def value(random: Random) -> str:
        kind = random.randrange(6)
        if kind < 4:
            return random.choice(values if kind < 2 else _TEXTS)
        return str(number(random)) if kind == 4 else text(random)

    def cases(random: Random) -> list[str]:
        if random.randrange(6):
            return [f(random) for _ in range(random.randrange(1, 4)) for f in (key, value)]
        return [random.choice([key, value, text])(random) for _ in range(random.randrange(6))]

    return Reader("overrides", cases, accepts)


class _NoThreads:
    """Replaces threads, which take longer to start than two small images to decode."""

    map = staticmethod(map)

    def __enter__(self) -> "_NoThreads":
        return self

    def __exit__(self, *_: object) -> None:
        pass


READERS = {
    "annotations": annotations,
    "yolo": yolo,
    "record": record,
    "grid": grid,
    "overrides": overrides,
}


def _check_message(error: Exception, path: Path | None = None) -> None:
    text = str(error)
    assert 10 < len(text) < MAX_MESSAGE, f"{len(text)} characters"
    assert path is None or str(path) in text, "the message does not name the file"


def _copied(node: Any) -> Any:
    """A copy of a config, ten times as fast as its ``clone``."""
    if isinstance(node, CfgNode):
        copy = CfgNode()
        for name, value in node.items():
            dict.__setitem__(copy, name, _copied(value))
        return copy
    return [_copied(value) for value in node] if isinstance(node, list) else node


def _keys(node: dict, prefix: str = "") -> list[str]:
    found = []
    for name, value in node.items():
        found.append(prefix + name)
        if isinstance(value, dict):
            found += _keys(value, f"{prefix}{name}.")
    return found


_SENSITIVE = [
    "MODEL.FOCAL_STAR.LOSS", "MODEL.FOCAL_STAR.WEIGHT_CAP", "MODEL.FOCAL_STAR.BETA",
    "MODEL.FOCAL_STAR.KERNEL", "MODEL.RETINANET.FOCAL_LOSS_ALPHA", "MODEL.OHEM.METHOD",
    "MODEL.RETINANET.FOCAL_LOSS_GAMMA", "MODEL.RETINANET.PRIOR_PROB", "MODEL.OHEM.BATCH_SIZE",
    "MODEL.OHEM.NMS_THRESH", "MODEL.ANCHOR_GENERATOR.NUM_SCALES", "MODEL.ANCHOR_GENERATOR.SIZES",
    "MODEL.ANCHOR_GENERATOR.NUM_ASPECT_RATIOS", "INPUT.SHORT_EDGE", "MODEL.WEIGHTS",
    "MODEL.DETECTOR", "MODEL.META_ARCHITECTURE", "SOLVER.OPTIMIZER", "TEST.LOSS_PERIOD",
    "TEST.COCO_EVAL", "TEST.BOOTSTRAP_RESAMPLES", "EXTENSIONS", "DATASETS.FOLDER",
]  # fmt: skip

_NO_KEYS = [
    "", ".", "..", "MODEL.", ".MODEL", "MODEL..RETINANET", "model.device", "SEED.X", "_BASE_",
    "MODEL.RETINANET.IN_FEATURES.p3", "MODEL.DEVICE.c", "SEED\0", "__class__", "MODEL.__dict__",
    "MODEL.clear", "é", "\ud800", "x" * 3000, "VERSION.1",
]  # fmt: skip

_TEXTS = [
    "focal_star", "ohem_1_3", "faster_rcnn", "AdamW", "hotcoco", "1", "0.5", "[1, 2]", "(1,)", "[]",
    "{}", "{1: 2}", "{1, 2}", "b'x'", "1j", "1_000", "0x10", "1e999", "-1e999", "(" * 150, "[" * 90,
    "-" * 3000 + "1", "9" * 5000, "'" , "\\", "f'{1}'", "__import__('os')", "lambda: 0", "()",
    "a.b",
    "[[32.0]]", "[['a']]", "[[]]", "[None]", "[[1e999]]", "..", "None", "True", "x" * 5000, "http://",
    "\ufeff1", " 1", "1 ", "\n1", "#", "1 # 2", "...", "*[1]", "1 if 1 else 2", "[1,2" ,
]  # fmt: skip
