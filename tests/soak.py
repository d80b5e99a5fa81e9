"""Kills a study at random moments until it is done, and compares it with an undisturbed one.

    python tests/soak.py --kills 50 --cells 12 [--seed S] [--stand-ins]

A kill is a SIGKILL of the runner and all of its processes, of the runner alone, or of one cell's
process. After it the study is called again, as a person would. Where it is done before all kills
were made, the next round starts a new one. Each round must end with every cell recorded, none
trained to the end twice, the same results, and the report's tables the same to the byte.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from msgspec.structs import asdict

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # in place of tests/, whose folders have the packages' names

from ablations.records.record import Record, load_folder  # noqa: E402
from ablations.storage.layout import Layout  # noqa: E402
from ablations.study.study import load_study  # noqa: E402

STAND_INS = ROOT / "tests" / "ablations" / "stand_ins"
TRAIN_NET = Path("projects/focal_star/train_net.py")
ENDED_WITHIN = 60.0
"""The max seconds in which a process notices that the runner is dead, and ends."""

MAX_CALLS_AFTER_THE_KILLS = 5
JOBS = 2

ROWS = [
    {"loss": loss, "alpha": alpha, "gamma": 0.5}
    for alpha in (0.25, 0.5, 0.75)
    for loss in ("ce", "focal", "focal_star")
]

CONFIG = """
_BASE_: mini/retinanet_R_18_FPN.yaml
SOLVER: {{MAX_ITER: {iterations}, WARMUP_ITERS: 2, IMS_PER_BATCH: 4, CHECKPOINT_PERIOD: 5}}
PRETRAINING: {{MAX_ITER: 2, IMS_PER_BATCH: 8}}
"""

COUNTING = """
import runpy, sys
from pathlib import Path
result = Path(sys.argv[-1]) / "result.json"
Path("started.txt").open("a").write(result.parent.name + "\\n")
try:
    runpy.run_path(str(Path(__file__).with_name("real_train_net.py")), run_name="__main__")
finally:
    if result.exists():
        Path("ended.txt").open("a").write(result.parent.name + "\\n")
"""
"""Wraps train_net.py and counts the processes that start and those that write a result."""


@dataclass
class Soak:
    """A separate checkout, in which a study is run again and again.

    Attributes:
        root: the checkout.
        num_cells: of the study, even.
        longest: the longest time between two kills, in seconds.
        random: draws the moments and the victims.
        dataset: a folder to train on, None with stand-ins.
        environment: of all processes.
        victims: victim -> number of kills.
        faults: the differences and errors that were found.
        tables: file name -> content, for the tables of the undisturbed study.
    """

    root: Path
    num_cells: int
    longest: float
    random: random.Random
    dataset: Path | None = None
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    victims: Counter = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    tables: dict[str, bytes] = field(default_factory=dict)

    def make_checkout(self, iterations: int) -> None:
        """Copy what a study needs, with a study of this size.

        Args:
            iterations: the iterations of a training; the environment sets a stand-in's steps.
        """
        parts = ["ablations", "reports", "projects/focal_star/configs"]
        if self.dataset is not None:
            parts.append("projects/focal_star/focal_star")
        for part in parts:
            ignored = shutil.ignore_patterns("__pycache__", "published")
            shutil.copytree(ROOT / part, self.root / part, ignore=ignored)
        if self.dataset is None:
            shutil.copytree(STAND_INS, self.root, dirs_exist_ok=True)
        else:
            shutil.copy(ROOT / TRAIN_NET, self.root / TRAIN_NET.with_stem("real_train_net"))
            (self.root / TRAIN_NET).write_text(COUNTING)
        config = CONFIG.format(iterations=iterations)
        (self.root / "projects/focal_star/configs/soak.yaml").write_text(config)
        plan = {
            "studies": {
                "title": "soak", "config": "soak.yaml", "dataset": "digits", "grids": ["soak"],
                "seeds": 2, "base": {"depth": 18, "scale": 128},
            },
            "grids": {
                "title": "soak", "columns": ["loss", "alpha", "gamma"],
                "rows": ROWS[: self.num_cells // 2],
            },
        }  # fmt: skip
        for folder, content in plan.items():
            (self.root / "ablations" / folder / "soak.yaml").write_text(yaml.safe_dump(content))

    def start(self, output: str) -> subprocess.Popen:
        """The runner."""
        with (self.root / f"{output}.log").open("a") as log:
            return subprocess.Popen(
                self._command("ablations", output, "--jobs", str(JOBS)),
                cwd=self.root, stdout=log, stderr=log, env=self.environment,
            )  # fmt: skip

    def run_alone(self, output: str) -> float:
        """Run the study undisturbed; return its duration in seconds."""
        started = time.monotonic()
        if code := self.start(output).wait():
            sys.exit(f"the study fails by itself, with {code}:\n{self.log(output)}")
        return time.monotonic() - started

    def run_with_kills(self, output: str, kills: int) -> int:
        """Run the study to its end with kills; return the number of kills."""
        made, calls_left = 0, MAX_CALLS_AFTER_THE_KILLS
        while calls_left:
            runner = self.start(output)
            while made < kills and runner.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    runner.wait(self.random.uniform(0, self.longest))
                    break
                self._kill(runner, output)
                made += 1
            code = runner.wait()
            if code == 0:
                return made
            if code not in (1, -signal.SIGKILL):  # 1: a cell's budget was spent; it has another
                break
            calls_left -= made == kills
        self.faults.append(f"{output}: the study does not end:\n{self.log(output)}")
        return made

    def check(self, output: str, alone: str) -> None:
        """Note every difference from the undisturbed study."""
        note = self.faults.append
        if left := self._left_behind():
            note(f"{output}: processes left behind: {left}")
        for cell, number in Counter(self._take_lines("ended.txt")).items():
            if number > 1:
                note(f"{output}: {cell} was trained to its end {number} times")
        expected, found = self.records(alone), self.records(output)
        self.faults.extend(differences(expected, found, output))
        self.tables = self.tables or self._tables(alone)
        if not self.tables or self.tables != self._tables(output):
            note(f"{output}: the report's tables differ")

    def records(self, output: str) -> dict[str, Record]:
        records, refused = load_folder(self._layout(output).records)
        self.faults.extend(refused)
        return records

    def log(self, output: str) -> str:
        return (self.root / f"{output}.log").read_text()[-4000:]

    def _kill(self, runner: subprocess.Popen, output: str) -> None:
        cells = self._cells(output)
        victims = ["everything", "the runner", *(["a cell"] if cells else [])]
        victim = self.random.choice(victims)
        pids = {
            "everything": self._processes(),
            "the runner": [runner.pid],
            "a cell": cells and [self.random.choice(cells)],
        }[victim]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if victim != "a cell":
            runner.wait()
        moment = "in training" if cells else "before training"
        self.victims[f"{victim}, {moment}"] += 1

    def _left_behind(self) -> list[int]:
        """The processes that still run some time after the runner's end."""
        deadline = time.monotonic() + ENDED_WITHIN
        while (left := self._processes()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return left

    def _processes(self) -> list[int]:
        """The living processes that work in the checkout."""
        pids = []
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if os.readlink(path / "cwd") == str(self.root):
                    pids.append(int(path.name))
        return pids

    def _cells(self, output: str) -> list[int]:
        """The living processes that hold a cell."""
        alive, pids = self._processes(), []
        for path in self._layout(output).locks.glob("*"):
            with suppress(OSError, ValueError, IndexError):  # it may only just have been made
                pids.append(int(path.read_text(encoding="utf-8").split()[0]))
        return [pid for pid in pids if pid in alive]

    def _command(self, package: str, output: str, *flags: str) -> list[str]:
        data = ["--dataset", str(self.dataset)] if self.dataset else []
        common = ["--study", "soak", "--output", output, *data]
        return [sys.executable, "-m", package, *common, *flags]

    def _layout(self, output: str) -> Layout:
        return Layout.of(self.root / output, "soak", self.dataset)

    def _tables(self, output: str) -> dict[str, bytes]:
        """File name -> content of the report's tables, except the table of runs (it has times)."""
        subprocess.run(
            self._command("reports", output),
            cwd=self.root, env=self.environment, check=False, capture_output=True,
        )  # fmt: skip
        tables = self._layout(output).report / "tables"
        paths = [path for path in sorted(tables.glob("*.csv")) if path.name != "runs.csv"]
        return {path.name: path.read_bytes() for path in paths}

    def _take_lines(self, name: str) -> list[str]:
        path = self.root / name
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines


def differences(expected: dict[str, Record], found: dict[str, Record], where: str) -> list[str]:
    """One line for each cell that is lost or has other results; times and paths aside."""
    lines = [f"{where}: {cell} is lost" for cell in expected.keys() - found.keys()]
    for cell in expected.keys() & found.keys():
        one, other = asdict(expected[cell]), asdict(found[cell])
        lines += [
            f"{where}: {cell}: {name} is {str(other[name])[:200]}, not {str(one[name])[:200]}"
            for name in one
            if name not in ("run", "command") and one[name] != other[name]
        ]
    return lines


def main(argv: list[str] | None = None) -> int:
    """Return 0 if nothing was lost, otherwise 1."""
    options = _parser().parse_args(argv)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        root = Path(folder).resolve() / "checkout"
        soak = Soak(root, options.cells, options.longest, random.Random(options.seed))
        if options.stand_ins:
            soak.environment |= {"STEPS": "20", "STEP_SECONDS": "0.05"}
        else:
            from focal_star.mini import digits_in_scenes

            soak.dataset = root / "data" / "tiny"
            digits_in_scenes.write(soak.dataset, digits_in_scenes.Recipe(num_train=24, num_val=8))
        soak.make_checkout(options.iterations)
        print(f"seed {options.seed}: {options.cells} cells undisturbed", flush=True)
        seconds = soak.run_alone("alone")
        soak.check("alone", "alone")
        study = load_study("soak", folder=root / "ablations")
        assert len(study.cells()) == len(soak.records("alone")) == options.cells
        made, rounds = 0, 0
        while made < options.kills and not soak.faults:
            rounds += 1
            kills = soak.run_with_kills(f"round{rounds}", options.kills - made)
            made += kills
            soak.check(f"round{rounds}", "alone")
            print(f"round {rounds}: {kills} kills", flush=True)
        print(
            f"{options.cells} cells, {seconds:.0f} s undisturbed; {made} kills in {rounds} rounds: "
            + ", ".join(f"{number} of {victim}" for victim, number in sorted(soak.victims.items()))
        )
    for fault in soak.faults:
        print(f"fault: {fault}", file=sys.stderr)
    print("nothing was lost" if not soak.faults else f"{len(soak.faults)} faults")
    return 1 if soak.faults else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--cells", type=int, default=12, choices=range(2, 2 * len(ROWS) + 1, 2))
    parser.add_argument("--seed", type=int, default=1, help="of the moments and the victims")
    parser.add_argument(
        "--stand-ins", action="store_true", help="processes that only count in place of trainings"
    )
    parser.add_argument("--iterations", type=int, default=60, help="of a training (default: 60)")
    parser.add_argument(
        "--longest", type=float, default=20.0, help="seconds between two kills (default: 20)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
