"""Bad data sets: annotation files, boxes, categories and images."""

import json
import os
from pathlib import Path
from typing import Any

from PIL import Image

from focal_star.data.__main__ import main
from tests.bad_input.table import Spoil, changed, file, kind, place

TRAIN = "data/instances_train.json"
IMAGE = "data/images/0.png"


def check_data(folder: Path, output: Path) -> int:
    return main(["check", str(folder / "data")])


def write(folder: Path) -> None:
    """Write a sound data set."""
    for number, split in enumerate(("train", "val")):
        name = f"{number}.png"
        (folder / "images").mkdir(parents=True, exist_ok=True)
        Image.effect_noise((64, 48), 50).convert("RGB").save(folder / "images" / name)
        content = {
            "images": [{"id": 1, "file_name": name, "width": 64, "height": 48}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [4, 5, 20, 30]}],
            "categories": [{"id": 3, "name": "cat"}],
        }
        (folder / f"instances_{split}.json").write_text(json.dumps(content), "utf-8")


def entry(part: str, **changes: Any) -> Spoil:
    """The first image, annotation or category has other values."""
    return changed(TRAIN, lambda content: content[part][0].update(changes))


def many_objects(content: dict[str, Any]) -> None:
    (one,) = content["annotations"]
    content["annotations"] = [one | {"id": number} for number in range(20_000)]


def cut(folder: Path) -> None:
    content = (folder / IMAGE).read_bytes()
    (folder / IMAGE).write_bytes(content[: len(content) // 2])


def bomb(folder: Path) -> None:
    Image.new("1", (12_000, 12_000)).save(folder / IMAGE)


def program(folder: Path) -> None:
    Image.new("RGB", (64, 48)).save(folder / IMAGE, format="EPS")


def link_out(path: Path) -> None:
    Image.new("RGB", (64, 48)).save(path.parents[2] / "outside.png")
    path.symlink_to(path.parents[2] / "outside.png")


for name, content, *words in [
    ("an empty file", b"", "instances_train.json: is not JSON"),
    ("a file cut short", b'{"images": [{"id"', "is not JSON", "char"),
    ("UTF-16", '{"images": []}'.encode("utf-16"), "is not UTF-8 text (byte 0)"),
    ("Latin-1", '{"n": "caf\xe9"}'.encode("latin-1"), "is not UTF-8 text (byte 10)"),
    ("a byte order mark twice", b"\xef\xbb\xbf" * 2 + b"{}", "is not JSON", "BOM"),
    ("100 levels deep", b'{"info":' + b"[" * 100 + b"]" * 100 + b"}", "is nested too deeply"),
    ("100,000 levels deep", b"[" * 100_000, "is nested too deeply"),
    ("a key twice", b'{"images": [], "images": []}', "duplicate key 'images' in an object"),
    ("an integer of 5,000 digits", b"[" + b"9" * 5000 + b"]", "is not JSON", "digits"),
    ("a list", b"[1, 2]", "must be an object, got [1, 2]"),
    ("no list of images", b"{}", "images must be a list", "the key is missing"),
]:
    kind(f"annotations: {name}", check_data, file(TRAIN, content), *words)

for name, make, *words in [
    ("no file", lambda path: None, "there is no such file"),
    ("a folder", Path.mkdir, "instances_train.json: cannot be read: it is not a regular file"),
    ("a pipe", os.mkfifo, "instances_train.json: cannot be read: it is not a regular file"),
    ("a link to itself", lambda path: path.symlink_to(path), "instances_train.json"),
]:
    kind(f"annotations: {name}", check_data, place(TRAIN, make), *words)

nan, inf = float("nan"), float("inf")
for name, box, *words in [
    ("NaN", [nan, 5, 9, 9], "must be four finite numbers, got [nan, 5, 9, 9]"),
    ("infinite", [4, 5, inf, 9], "must be four finite numbers, got [4, 5, inf, 9]"),
    ("an integer of 400 digits", [10**400, 5, 9, 9], "must be four finite numbers"),
    ("numbers as texts", ["4", "5", "9", "9"], "must be four numbers", "got ['4', '5', '9', '9']"),
    ("outside of the image", [60, 5, 9, 9], "extends beyond its image of 64 x 48 px"),
    ("without an area", [4, 5, 0, 9], "width and height must be above 0"),
]:
    kind(f"box: {name}", check_data, entry("annotations", bbox=box), "annotations[0]", *words)

for name, text, *words in [
    ("a name of 10 MB", "x" * 10**7, "one line of at most 200 characters, got 10000000: 'xxx"),
    ("a name of two lines", "a\nb", "one line", "'a\\nb'"),
    ("half a character as its name", "\ud800", "one line", "ud800"),
    ("a number as its name", 7, "name must be a string that is not empty, got 7"),
]:
    kind(f"category: {name}", check_data, entry("categories", name=text), "categories[0]", *words)

for name, text, *words in [
    ("an absolute path", "/etc/hosts", "'/etc/hosts' must be relative to images/"),
    ("a path upwards", "../../outside.png", "must be relative to images/, without '..'"),
    ("backslashes", "..\\outside.png", "not a backslash"),
    ("a NUL in its name", "0\0.png", "'0\\x00.png'"),
    ("a name of 5,000 characters", "x" * 5000, "does not exist"),
    ("a folder's name", ".", "is not a regular file"),
    ("a number as its name", 7, "file_name must be a path below images/, got 7"),
]:
    kind(f"image: {name}", check_data, entry("images", file_name=text), "images[0]", *words)

for name, spoil, *words in [
    (
        "a link out of its folder",
        place(IMAGE, link_out),
        "'0.png' is a link out of the data set",
        "DATASETS.LINKS",
    ),
    ("an empty file", file(IMAGE, b""), "'0.png'", "decoded"),
    ("a text", file(IMAGE, "not an image"), "'0.png'", "decoded"),
    ("a file cut short", cut, "'0.png'", "truncated"),
    ("a decompression bomb", bomb, "'0.png'", "12000 x 12000 px, more than"),
    ("a PostScript program", program, "'0.png'", "PostScript"),
    ("a pipe", place(IMAGE, os.mkfifo), "0.png' is not a regular file"),
    ("other width and height", entry("images", width=999), "width x height is 999"),
    ("a width without end", entry("images", width=10**400), "integers from 1 to 2147483647"),
    ("20,000 objects", changed(TRAIN, many_objects), "has more than 10000 annotations"),
]:
    kind(f"image: {name}", check_data, spoil, "instances_train.json: ", *words)
