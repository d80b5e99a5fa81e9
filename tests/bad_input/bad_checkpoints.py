"""Bad checkpoints, and bad photographs for them."""

import json
import os
import pickle
import zipfile
from functools import cache
from pathlib import Path

import torch
from detectron2.modeling import build_model
from PIL import Image

from focal_star.config import CONFIGS, load_config
from focal_star.tools.demo import __main__ as demo
from tests.bad_input.table import Command, file, kind, nothing, place

MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"
WEIGHTS, PHOTOGRAPH = "run/model_final.pth", "photographs/a.png"


class Surprise:
    """Makes a folder when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("made-by-a-pickle",)


def show(*arguments: str) -> Command:
    def run(folder: Path, output: Path) -> int:
        return demo.main(
            [
                "--images", str(folder / "photographs"), "--weights", str(folder / WEIGHTS),
                "--output", str(output), *arguments,
            ]
        )  # fmt: skip

    return run


def write(folder: Path) -> None:
    """Write a checkpoint with its config, and a photograph."""
    for path in (WEIGHTS, PHOTOGRAPH):
        (folder / path).parent.mkdir()
    (folder / WEIGHTS).with_name("config.yaml").write_text(f"_BASE_: {MINI}\nVERSION: 2\n")
    torch.save(_checkpoint(), folder / WEIGHTS)
    Image.effect_noise((64, 48), 50).save(folder / PHOTOGRAPH)


@cache
def _checkpoint() -> dict:
    return {"model": build_model(load_config(MINI, ["MODEL.DEVICE", "cpu"])).state_dict()}


def half(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: len(content) // 2])


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as into:
        into.writestr("x/data.pkl", pickle.dumps(Surprise()))


def bomb(path: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(path)


def other_model(path: Path) -> None:
    state = _checkpoint()["model"]
    name = "head.cls_score.weight"
    torch.save({"model": state | {name: state[name][:, :3]}}, path)


NOT_LOADED = "could run any code; if you trust who made it, add: "

for name, spoil, *words in [
    ("code in it", place(WEIGHTS, lambda p: torch.save({"model": Surprise()}, p)), NOT_LOADED),
    ("a bare pickle", file(WEIGHTS, pickle.dumps({"model": Surprise()})), NOT_LOADED),
    ("code in an archive", place(WEIGHTS, archive), "is "),
    ("an empty file", file(WEIGHTS, b""), "is broken"),
    ("half a file", half, "is "),
    ("a text", file(WEIGHTS, "weights"), "is not loaded: it is broken, or holds more"),
    ("a list", place(WEIGHTS, lambda p: torch.save([1], p)), "holds a list, not a dict"),
    ("a list as its model", place(WEIGHTS, lambda p: torch.save({"model": [1]}, p)),
     "has a list as its model, not a dict of tensors"),
    ("no head", place(WEIGHTS, lambda p: torch.save({"model": {}}, p)), "has no head"),
    ("of another config", place(WEIGHTS, other_model), "does not match the model",
     "head.cls_score.weight is ("),
    ("a folder", place(WEIGHTS, Path.mkdir), "is not a file"),
    ("no file", place(WEIGHTS, lambda path: None), "does not exist"),
    ("no config", place("run/config.yaml", lambda path: None), "name its config (CONFIG=...)"),
    ("a list for a config", file("run/config.yaml", "[]"), "run/config.yaml", "is a mapping"),
]:  # fmt: skip
    kind(f"checkpoint: {name}", show(), spoil, "demo: error: ", "run/", *words)

for name, spoil, *words in [
    ("an empty file", file(PHOTOGRAPH, b""), "not an image of a known format"),
    ("a text", file(PHOTOGRAPH, "no image"), "not an image of a known format"),
    ("a decompression bomb", place(PHOTOGRAPH, bomb), "decompression bomb"),
    ("a PostScript program", place(PHOTOGRAPH, lambda p: Image.new("RGB", (9, 9)).save(p, "EPS")),
     "PostScript program"),
    ("10,000 times as wide as high",
     place(PHOTOGRAPH, lambda p: Image.new("L", (20_000, 1)).save(p)), "too narrow"),
]:  # fmt: skip
    kind(f"photograph: {name}", show(), spoil, "a.png is skipped: ", *words)

for name, command, *words in [
    ("no such folder", show("--images", "/nowhere"), "/nowhere is neither a folder nor a file"),
    ("a threshold that is none", show("--threshold", "nan"), "nan is not a score from 0 to 1"),
    ("a threshold in words", show("--threshold", "high"), "invalid _threshold value: 'high'"),
]:
    kind(f"argument: {name}", command, nothing, *words)
kind(
    "checkpoint: names of other classes", show(),
    lambda folder: (folder / "run/classes.txt").write_text(json.dumps(["a"])),
    "classes.txt has 1 lines, and ",
)  # fmt: skip
