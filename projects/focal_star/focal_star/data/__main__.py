"""``python -m focal_star.data``: checks, describes and registers a data set, and fetches COCO.

A data set is a folder in COCO's format, of Pascal VOC, YOLO, CVAT, FiftyOne or LabelMe, or with CSV
files, or a name that Detectron2 knows in the folder DETECTRON2_DATASETS, such as ``coco_2017``.

``check`` lists every problem of its annotations and images, and with ``--fix`` writes a repaired
copy. ``describe`` checks it and shows its content. ``register`` checks it, loads it with
Detectron2, and prints the config keys to train on it. Nothing is written into the data set's
folder; conversions and what is known of the images are cached.

Exit codes: 0 the data set is valid, 1 it has problems, 2 it cannot be read.
"""

import argparse
import ast
import io
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from focal_star.data import archives
from focal_star.data.layouts.dataset import COCO_FORMAT
from focal_star.data.layouts.problems import DatasetError, counted
from focal_star.data.repair import CHANGES_FILE, repair
from focal_star.data.validation.checks import check_folder, check_splits, require_valid
from focal_star.data.validation.description import joined_sha256
from focal_star.data.validation.images import CACHE, ImageOptions
from focal_star.errors import ConfigError
from focal_star.io.image_files import MAX_BITS, MIN_BITS
from focal_star.io.pipes import PipedConsole, until_pipe_closes

MAX_CHANGES = 100
"""Changes of a repair that are printed."""

FEATURES = {
    "num_images": "images",
    "num_instances": "instances",
    "num_crowd": "crowds among them",
    "num_without_objects": "images without objects",
    "num_categories": "categories",
    "objects_per_image": "objects per image, mean",
    "most_objects_per_image": "objects per image, maximum",
    "num_small": "small objects (under 32² px)",
    "num_medium": "medium objects",
    "num_large": "large objects (96² px and over)",
    "object_size": "object size (px): min, median, max",
    "width": "width (px): min, median, max",
    "height": "height (px): min, median, max",
}
"""The rows of a description: key -> label."""


def main(argv: list[str] | None = None) -> int:
    """Return one of the exit codes."""
    options = _parser().parse_args(argv)
    # File and category names may have characters that the terminal's encoding lacks.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return until_pipe_closes(lambda: options.run(options))
    except DatasetError as error:
        print(error)
        return 1
    except (archives.FetchError, ConfigError) as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}", file=sys.stderr)
    return 2


def _check(options: argparse.Namespace) -> int:
    if options.fix:
        return _fix(options)
    cards, layout = _checked(options)
    print(f"ok: {options.dataset}{f' ({layout})' if layout else ''}")
    for name, card in cards.items():
        counts = (
            counted(card["num_images"], "image"),
            f"{counted(card['num_instances'], 'instance')} ({card['num_crowd']} crowd)",
            counted(card["num_categories"], "category"),
        )
        print(f"  {name}: {', '.join(counts)}")
        _print_warnings(name, card)
    print(f"  categories: {', '.join(cards['train']['category_names'])}")
    print(f"  sha256: {joined_sha256(card['sha256'] for card in cards.values())}")
    return 0


def _fix(options: argparse.Namespace) -> int:
    """Write a repaired copy, list the changes, and check the copy."""
    images = _image_options(options)
    check = check_folder(options.dataset, images)
    changes = repair(check, options.fix, options.merge)
    for line in changes[:MAX_CHANGES]:
        print(line)
    if len(changes) > MAX_CHANGES:
        print(f"... and {len(changes) - MAX_CHANGES} more")
    number = f"{len(changes)} {'change' if len(changes) == 1 else 'changes'}"
    print(f"{number}; the copy is in {options.fix}, with the list in {CHANGES_FILE}")
    options.dataset, options.fix = str(options.fix), None
    return _check(options)


def _describe(options: argparse.Namespace) -> int:
    cards, layout = _checked(options)
    title = f"{options.dataset} ({layout})" if layout else options.dataset
    features = _table(title, ["", *cards])
    for key, text in FEATURES.items():
        features.add_row(text, *(_text(card[key]) for card in cards.values()))
    categories = _table("objects per category", ["", *cards])
    for name in cards["train"]["category_names"]:
        categories.add_row(name, *(_text(card["per_category"][name]) for card in cards.values()))
    console = PipedConsole(soft_wrap=True, markup=False, highlight=False)
    console.print(features)
    console.print(categories)
    for name, card in cards.items():
        _print_warnings(name, card)
    print(f"sha256: {joined_sha256(card['sha256'] for card in cards.values())}")
    return 0


def _print_warnings(split: str, card: dict[str, Any]) -> None:
    for line in (*card["warnings"], *card["conversions"]):
        print(f"  warning: {split}: {line}")


def _register(options: argparse.Namespace) -> int:
    from detectron2.data import DatasetCatalog, MetadataCatalog

    from focal_star.data.registration import register_folder

    if _is_folder(options.dataset):
        names = register_folder(options.dataset, _image_options(options))
        keys = ["DATASETS.FOLDER", str(options.dataset), *options.keys]
        if options.cache != CACHE:
            keys += ["CACHE_DIR", str(options.cache)]
    else:
        _checked(options)
        names = f"{options.dataset}_train", f"{options.dataset}_val"
        keys = ["DATASETS.TRAIN", f"('{names[0]}',)", "DATASETS.TEST", f"('{names[1]}',)"]
    for name in names:
        records = DatasetCatalog.get(name)
        objects = sum(len(record["annotations"]) for record in records)
        print(f"{name}: {len(records)} images, {objects} instances")
    classes = MetadataCatalog.get(names[0]).thing_classes
    print(f"classes ({len(classes)}): {', '.join(classes)}")
    if not _is_folder(options.dataset):
        keys += ["MODEL.RETINANET.NUM_CLASSES", str(len(classes))]
    print(f"to train on it, add: {shlex.join(keys)}")
    if _is_folder(options.dataset):
        print(f"to study it: make ablations DATASET={shlex.quote(options.dataset)}")
    return 0


def _fetch(options: argparse.Namespace) -> int:
    into = Path(options.into or Path(os.environ.get("DETECTRON2_DATASETS", "datasets")) / "coco")
    chosen = [one for one in archives.COCO_2017 if not options.only or one.name in options.only]
    archives.fetch(into, chosen, address=options.address, keep=options.keep)
    print(f"COCO is in {into}")
    return 0


def _checked(options: argparse.Namespace) -> tuple[dict[str, dict[str, Any]], str]:
    """Split -> the description of a valid data set; and the layout in which a folder was read.

    Raises:
        DatasetError: it has problems; the message lists all.
    """
    dataset, images = options.dataset, _image_options(options)
    if _is_folder(dataset):
        cards, converted = require_valid(dataset, images)
        return cards, converted.layout if converted else COCO_FORMAT
    from focal_star.data.catalog import require_there, splits_of_name

    splits = splits_of_name(dataset)
    require_there(f"{dataset}_{split.name}" for split in splits)
    check = check_splits(*splits, images)
    if check.problems:
        raise DatasetError(dataset, check.problems)
    return check.describe(), ""


def _image_options(options: argparse.Namespace) -> ImageOptions:
    """The config keys of the command line.

    Raises:
        ConfigError: a key or value that is not valid.
    """
    words = options.keys
    given = dict(zip(words[::2], words[1::2], strict=False))
    values = {key: _literal(value) for key, value in given.items()}
    valid = {
        "INPUT.BIT_DEPTH": lambda v: type(v) is int and MIN_BITS <= v <= MAX_BITS,
        "INPUT.MAX_PIXELS": lambda v: type(v) is int and v >= 1,
        "DATASETS.LINKS": lambda v: type(v) is bool,
    }
    wrong = [
        f"{key} {given[key]}" for key in given if key not in valid or not valid[key](values[key])
    ]
    if wrong or len(words) % 2:
        raise ConfigError(
            f"{' '.join(wrong or words)}: valid are pairs of INPUT.BIT_DEPTH and {MIN_BITS} to "
            f"{MAX_BITS}, INPUT.MAX_PIXELS and a number of px, DATASETS.LINKS and True or False"
        )
    return ImageOptions(
        bit_depth=values.get("INPUT.BIT_DEPTH"),
        max_pixels=values.get("INPUT.MAX_PIXELS"),
        links=values.get("DATASETS.LINKS", False),
        cache=options.cache,
    )


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _is_folder(dataset: str) -> bool:
    """Whether it is a path, not a name that Detectron2 may know."""
    return os.sep in dataset or os.path.exists(dataset)


def _table(title: str, columns: list[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    return table


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " / ".join(f"{one:g}" for one in value)
    return "" if value is None else f"{value:,}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m focal_star.data",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, text in (
        ("check", _check, "list every problem of a data set"),
        ("describe", _describe, "check a data set, and show its content"),
        ("register", _register, "check a data set, and load it with Detectron2"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("dataset", help="a folder, or a name such as coco_2017")
        command.set_defaults(run=run)
        if name == "check":
            command.add_argument(
                "--fix", type=Path, metavar="FOLDER", help="write a repaired copy to this folder"
            )
            command.add_argument(
                "--merge",
                action="store_true",
                help="in the copy, make one category of names that look alike",
            )
        command.add_argument(
            "keys", nargs="*", metavar="KEY VALUE", help="config keys of how images are read"
        )
        command.add_argument(
            "--cache",
            type=Path,
            default=CACHE,
            help=f"for conversions, and what is known of images (default: {CACHE})",
        )
    fetch = commands.add_parser(
        "fetch",
        help="download COCO 2017, resuming an interrupted download",
        description=archives.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    fetch.set_defaults(run=_fetch)
    fetch.add_argument("--into", help="(default: DETECTRON2_DATASETS/coco, or datasets/coco)")
    fetch.add_argument(
        "--only",
        nargs="+",
        choices=[one.name for one in archives.COCO_2017],
        help="(default: all)",
    )
    fetch.add_argument(
        "--address", default=archives.ADDRESS, help=f"of a mirror (default: {archives.ADDRESS})"
    )
    fetch.add_argument("--keep", action="store_true", help="keep the archives after unpacking")
    return parser


if __name__ == "__main__":
    sys.exit(main())
