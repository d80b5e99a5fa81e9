"""Bad config files, ``KEY VALUE`` pairs and environment variables."""

import os
from collections.abc import Callable
from pathlib import Path

from focal_star.config import CONFIGS
from focal_star.tools import prepare
from tests.bad_input.table import BILLION, Command, file, kind, nothing, place

CONFIG = "config.yaml"
MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"


def read_config(folder: Path, output: Path) -> int:
    flags = ["--json", str(output / "prepared.json"), "--resolve-only"]
    return prepare.main(["--config-file", str(folder / CONFIG), *flags])


def overridden(*pairs: str, resolve_only: bool = True) -> Command:
    """A config with ``KEY VALUE`` pairs."""

    def run(folder: Path, output: Path) -> int:
        flags = ["--json", str(output / "prepared.json")]
        flags += ["--resolve-only"] if resolve_only else []
        return prepare.main(["--config-file", str(MINI), *flags, *pairs])

    return run


def with_variant(text: str) -> Command:
    def run(folder: Path, output: Path) -> int:
        flags = ["--json", str(output / "prepared.json"), "--variant", text]
        return prepare.main(["--config-file", str(MINI), *flags])

    return run


def write(folder: Path) -> None:
    """Write a sound config."""
    (folder / CONFIG).write_text(f"_BASE_: {MINI}\nVERSION: 2\n", "utf-8")


def tag(mark: str) -> str:
    """A config that makes a file, where YAML's tags are heeded."""
    return f"SEED: !!python/object/apply:os.mkdir ['{mark}']\nVERSION: 2\n"


for name, content, *words in [
    ("an empty file", "", "a config is a mapping of keys to values"),
    ("a list", "- 1\n- 2\n", "a config is a mapping of keys to values"),
    ("no YAML", "SEED: [", "while parsing"),
    ("no text", b"\x00\x01\xff", "config.yaml"),
    ("Latin-1", b"OUTPUT_DIR: caf\xe9\n", "can't decode byte 0xe9"),
    ("a tag that runs code", tag("made-by-a-tag"), "could not determine a constructor", "os.mkdir"),
    ("5,000 levels deep", "SEED: " + "[" * 5000 + "]" * 5000, "nest"),
    ("a billion laughs", f"a0: &a0 [1]\n{BILLION}SEED: *a14\n", "line 13: more than 100 aliases"),
    ("a key twice", "SEED: 1\nSEED: 2\n", "line 2: duplicate key 'SEED'"),
    ("2 MB", "#" * 2**21, "more than 1048576 characters"),
    ("its own base", f"_BASE_: {CONFIG}\nVERSION: 2\n", "its own _BASE_"),
    ("a base that is not there", "_BASE_: nowhere.yaml\nVERSION: 2\n", "nowhere.yaml"),
    ("a base that is a number", "_BASE_: 3\nVERSION: 2\n", "names as keys"),
    ("a number as a key", "1: 2\nVERSION: 2\n", "names as keys"),
    ("an unknown key", "MODEL: {GAMA: 2}\nVERSION: 2\n", "MODEL.GAMA"),
    ("a value of another type", "SEED: one\nVERSION: 2\n", "SEED", "one"),
    ("a mapping as a value", "SEED: {A: 1}\nVERSION: 2\n", "SEED"),
    ("nothing as a value", "SEED:\nVERSION: 2\n", "SEED is None"),
    (
        "trust in its own weights",
        "MODEL: {TRUSTED_WEIGHTS: True}\nVERSION: 2\n",
        "MODEL.TRUSTED_WEIGHTS is True in a file",
        "only on the command line",
    ),
    (
        "proposals, which are pickles",
        "MODEL: {LOAD_PROPOSALS: True}\nVERSION: 2\n",
        "MODEL.LOAD_PROPOSALS is True; valid: False",
    ),
    (
        "a base outside the cache",
        "_BASE_: https://host/a/../../x.yaml\nVERSION: 2\n",
        "has .. in its path",
    ),
    (
        "weights outside the cache",
        "MODEL: {WEIGHTS: 'detectron2://../x.pkl'}\nVERSION: 2\n",
        "an address without ..",
    ),
]:
    kind(f"config: {name}", read_config, file(CONFIG, content), "error: ", *words)

for name, make, *words in [
    ("no file", lambda path: None, "No such file or directory"),
    ("a folder", Path.mkdir, "config.yaml"),
    ("a pipe", os.mkfifo, "config.yaml"),
]:
    kind(f"config: {name}", read_config, place(CONFIG, make), "error: ", *words)

for name, pairs, *words in [
    ("an odd number of words", ["SEED"], "Override list has odd length"),
    ("an unknown key", ["MODEL.GAMA", "2"], "Non-existent key: MODEL.GAMA"),
    ("a key within a value", ["SEED.X", "2"], "names as keys"),
    ("a value of another type", ["SEED", "one"], "Type mismatch", "SEED"),
    ("an integer of 5,000 digits", ["SEED", "9" * 5000], "Type mismatch", " ..."),
    ("deep brackets", ["SEED", "(" * 5000], "KEY VALUE pairs"),
    ("a base", ["_BASE_", "x.yaml"], "can only be used in files"),
    ("a number out of range", ["MODEL.RETINANET.PRIOR_PROB", "1.5"], "between 0 and 1"),
    ("an infinite number", ["MODEL.RETINANET.FOCAL_LOSS_GAMMA", "1e999"], "a number >= 0"),
    ("None for a number", ["MODEL.RETINANET.PRIOR_PROB", "None"], "PRIOR_PROB is None"),
    ("a list for a name", ["MODEL.OHEM.METHOD", "[[]]"], "one of ohem, ohem_1_3"),
    ("10^9 anchors", ["MODEL.ANCHOR_GENERATOR.NUM_SCALES", "1000000000"], "<= 100"),
    ("weights that are not there", ["MODEL.WEIGHTS", "nowhere.pth"], "a file that is there"),
    ("a path with a NUL", ["MODEL.WEIGHTS", "a\0b"], "a file that is there"),
]:
    kind(f"override: {name}", overridden(*pairs), nothing, "error: ", *words)

kind(
    "override: a quote left open", with_variant("MODEL.RESNETS.DEPTH '18"), nothing,
    "No closing quotation",
)  # fmt: skip


def in_environment(command: Command, **variables: str) -> Command:
    """The command, with these environment variables."""

    def run(folder: Path, output: Path) -> int:
        before = dict(os.environ)
        os.environ.update(variables)
        try:
            return command(folder, output)
        finally:
            os.environ.clear()
            os.environ.update(before)

    return run


COCO = ("DATASETS.TRAIN", "('coco_2017_train',)", "DATASETS.TEST", "('coco_2017_val',)")
NO_DATA: Callable = overridden(*COCO, "PRETRAINING.ENABLED", "False", resolve_only=False)

kind(
    "environment: data sets that are not there",
    in_environment(NO_DATA, DETECTRON2_DATASETS="/nowhere"), nothing, "coco",
)  # fmt: skip
