"""Bad studies, grids, published tables, records, arguments and make's variables."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from ablations import __main__ as ablations
from ablations.study.study import load_study
from reports import __main__ as reports
from tests.bad_input.table import BILLION, Command, Spoil, changed, file, kind, nothing, place
from tests.fuzz import documents

ROOT = Path(__file__).resolve().parents[2]
GRID, STUDY, TABLE = "grids/g.yaml", "studies/s.yaml", "reference/table.csv"
RECORD = "out/mini/records/ce-seed1.json"

MINI = "mini/retinanet_R_18_FPN.yaml"
OF_STUDY = {"title": "t", "config": MINI, "dataset": "d", "grids": ["g"], "seeds": 1}


def plan(*arguments: str) -> Command:
    """``python -m ablations plan`` of the study in the folder."""

    def run(folder: Path, output: Path) -> int:
        load = partial(load_study, folder=folder)
        with mock.patch.object(ablations, "load_study", load):
            flags = ["--study", "s", "--output", str(output)]
            return ablations.main(["plan", *flags, *arguments])

    return run


def status(folder: Path, output: Path) -> int:
    return ablations.main(["status", "--study", "mini", "--output", str(folder / "out")])


def report(*arguments: str) -> Command:
    def run(folder: Path, output: Path) -> int:
        return reports.main(["--study", "mini", "--output", str(folder / "out"), *arguments])

    return run


def make(*variables: str) -> Command:
    """make, with a Python whose set-up is done."""

    def run(folder: Path, output: Path) -> int:
        python = output / "python"
        output.mkdir(exist_ok=True)
        python.write_text(
            f'#!/bin/sh\n[ "$2" = install ] && exit 0\nexec "{sys.executable}" "$@"\n'
        )
        python.chmod(0o755)
        given = [f"PYTHON={python}", f"OUTPUT={output}", *variables]
        ended = subprocess.run(
            ["make", *given], cwd=ROOT, capture_output=True, text=True,
            env={k: v for k, v in os.environ.items() if not k.startswith("MAKE")},
        )  # fmt: skip
        print(ended.stdout, ended.stderr)
        return ended.returncode

    return run


def write(folder: Path) -> None:
    """Write a sound study with its grid and a published table, and a sound record."""
    for name, content in (
        (GRID, documents.GRID),
        (STUDY, json.dumps(OF_STUDY).encode()),
        (TABLE, b"alpha,AP\n0.25,10\n0.5,20\n"),
        (RECORD, json.dumps(documents.record()).encode()),
    ):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(content)


def grid(**changes: Any) -> Spoil:
    """The grid has other values."""
    return file(GRID, json.dumps(documents.grid() | changes))


def study(**changes: Any) -> Spoil:
    """The study has other values."""
    return file(STUDY, json.dumps(OF_STUDY | changes))


LONG_AXIS = documents.GRID + b"  - alpha: 1\n    ? " + b"x" * 10**6 + b"\n    : 2\n"

for name, spoil, *words in [
    ("an empty file", file(GRID, ""), "a mapping is expected, this is NoneType"),
    ("no YAML", file(GRID, "rows: ["), "not YAML: while parsing", "line 2"),
    ("UTF-16", file(GRID, "title: t".encode("utf-16")), "not YAML", "utf-8"),
    ("a tag that runs code", file(GRID, "title: !!python/object/apply:os.mkdir ['x']"),
     "line 1: the tag '!!python/object/apply:os.mkdir'; only plain values are read"),
    ("100,000 levels deep", file(GRID, "[" * 100_000), "nest"),
    ("a billion laughs", file(GRID, f"a0: &a0 [1]\n{BILLION}title: *a14\n"), "title is [[["),
    ("a key twice", file(GRID, "title: t\ntitle: u\n"), "line 2: duplicate key 'title'"),
    ("20 MB", file(GRID, "#" * (20 * 2**20)), "is larger than 10 MB"),
    ("an impossible date", file(GRID, "title: 2001-99-99\n"), "not YAML", "month"),
    ("an unknown axis", grid(rows=[{"alpha": 1, "gama": 2}]), "row 1: unknown axis gama; known: "),
    ("an axis of 1 MB", file(GRID, LONG_AXIS), "row 3: unknown axis xxx"),
    ("a path as a loss", grid(common={"loss": "../../x", "method": "FL"}),
     "loss is '../../x', not a name"),
    ("a number of 400 digits", grid(rows=[{"alpha": 10**400}]), "alpha is 1", "not a number"),
    ("a text as a number", grid(rows=[{"alpha": "0.5"}]), "alpha is '0.5', not a number"),
    ("a table in another folder", grid(published={"file": "../g", "source": "", "setup": ""}),
     "'../g' is not the name of a file of reference/"),
    ("a published text for a number", file(TABLE, "alpha,AP\n0.5,twenty\n"),
     "reference/table.csv: row 2: could not convert string to float: 'twenty'"),
    ("a published line too short", file(TABLE, "alpha,AP\n0.5\n"), "row 2: another number of"),
    ("a published NaN", file(TABLE, "alpha,AP\n0.5,nan\n"), "AP is 'nan', not a number"),
    ("a pipe", place(GRID, os.mkfifo), "there is no grids/g.yaml"),
]:  # fmt: skip
    kind(f"grid: {name}", plan(), spoil, "ablations: ", *words)

for name, spoil, *words in [
    ("a list", file(STUDY, "[]"), "a mapping is expected, this is list"),
    ("10^9 seeds", study(seeds=10**9), "seeds is 1000000000: expected a whole number <= 1000"),
    ("an unknown grid", study(grids=["nope"]), "unknown grid nope; known: g"),
    ("an unknown key", study(colour="red"), "unknown key colour; known: title"),
    ("a folder", place(STUDY, Path.mkdir), "there is no studies/s.yaml"),
    ("no such config", study(config="nowhere.yaml"), "configs/nowhere.yaml: [Errno 2]"),
    ("a config with a NUL in its name", study(config="a\0b"), "null"),
    (
        "a config that is a table",
        study(config="../../../ablations/reference/table_a_alpha_ce.csv"),
        "table_a_alpha_ce.csv: ",
    ),
    ("an unknown axis", study(axes={"scal": {}}), "axes: unknown axis scal; known: "),
]:
    kind(f"study: {name}", plan(), spoil, "ablations: ", *words)


def of_record(**changes: Any) -> Spoil:
    return changed(RECORD, lambda content: content.update(changes))


def of_result(**changes: Any) -> Spoil:
    return changed(RECORD, lambda content: content["result"].update(changes))


for name, spoil, *words in [
    ("an empty file", file(RECORD, b""), "cannot be read as JSON"),
    ("NaN", of_result(metrics={"AP": float("nan")}), "cannot be read as JSON"),
    ("an infinite number", file(RECORD, '{"x": [1e999]}'), "Number out of range"),
    ("an integer of 400 digits", of_result(iterations=10**400), "more than 64 bits"),
    ("UTF-16", file(RECORD, "{}".encode("utf-16")), "cannot be read as JSON"),
    ("100 levels deep", file(RECORD, "[" * 100 + "]" * 100), "this is list"),
    ("100,000 levels deep", file(RECORD, "[" * 100_000), "nested too deeply"),
    ("half a character", of_record(error="\ud800"), "surrogate"),
    ("another cell's", of_record(cell="../ce"), "cell is '../ce', but the file is of 'ce-seed1'"),
    ("a metric as a text", of_result(metrics={"AP": "21"}), "result.metrics.AP is '21'"),
    ("curves of texts", of_result(curves={"loss": ["1"]}), "result.curves.loss is ['1']"),
    ("seconds as a text", of_record(run={"train_seconds": "9"}), "run.train_seconds is '9'"),
    ("another version's", of_record(schema=99), "schema is 99: valid: 2"),
    ("a pipe", place(RECORD, os.mkfifo), "it is not a regular file"),
]:
    kind(f"record: {name}", status, spoil, "refused: ", "ce-seed1.json", *words)

for name, command, *words in [
    ("an unknown study", plan("--study", "nope"), "there is no studies/nope.yaml; there are: s"),
    ("a study elsewhere", plan("--study", "../grids/g"), "there is no studies/"),
    ("no seeds", plan("--seeds", "0"), "'0' is not a number of seeds from 1 to 1000"),
    ("10^9 seeds", plan("--seeds", "1000000000"), "from 1 to 1000"),
    ("jobs in words", plan("--jobs", "two"), "'two' is not a whole number of at least 1"),
    ("an unknown engine", plan("--engine", "pbs"), "invalid choice: 'pbs'"),
    ("an unknown command", plan("destroy"), "unrecognized arguments: destroy"),
    ("no such output", report("--output", "/nowhere/out"), "there is no /nowhere/out/mini"),
    ("an output that is a file", report("--output", str(ROOT / "LICENSE")), "there is no "),
    ("seeds in words", report("--seeds", "two"), "--seeds"),
]:
    kind(f"argument: {name}", command, nothing, *words)

for name, command, *words in [
    ("STUDY", make("plan", "STUDY=nope"), "there is no studies/nope.yaml; there are: "),
    ("GRIDS", make("plan", "GRIDS=alpha nope"), "unknown grid nope; known: "),
    ("SEEDS", make("plan", "SEEDS=two"), "'two' is not a number of seeds from 1 to 1000"),
    ("ENGINE", make("plan", "ENGINE=pbs"), "invalid choice: 'pbs'"),
    ("RETRIES", make("plan", "RETRIES=-1"), "'-1' is not a whole number of at least 0"),
    ("JOBS", make("plan", "JOBS=0"), "'0' is not a whole number of at least 1"),
    ("GPUS", make("plan", "GPUS=all"), "'all' is not a whole number of at least 0"),
    ("PYTHON", make("plan", "PYTHON=/nowhere/python"), "there is no /nowhere/python here"),
]:
    kind(f"make: {name}", command, nothing, *words)
