"""A checkout with a fake training, and the processes that submit its cells to a cluster."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ablations
from ablations.records.record import Record, load_folder
from ablations.runner.slurm_arrays import Array
from ablations.storage.layout import Layout

STAND_INS = Path(__file__).parents[2] / "stand_ins"
WAIT_SECONDS = 120
"""The max wait, which only a failing test reaches."""

SUBMITTER = """
import signal, sys
from ablations import __main__ as command
from ablations.runner import slurm
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's "&" would have it ignored
slurm.POLL_SECONDS, slurm.LOOK_SECONDS, slurm.SETTLE_SECONDS = 0.1, 0.5, 1.0
sys.exit(command.main(sys.argv[1:]))
"""

STUDY = {
    "title": "tiny: cells that are no trainings",
    "config": "tiny.yaml",
    "dataset": "digits",
    "grids": ["alpha"],
    "seeds": 1,
    "base": {"depth": 18, "scale": 128},
    "slurm": {"timeout_min": 1, "signal_delay_s": 25},
}


class Checkout:
    """A separate checkout, where train_net.py and focal_star are stand-ins.

    The tasks of a cluster are processes of their own, which no test can reach into: they find
    there what they import and start.
    """

    def __init__(self, root: Path, env: dict[str, str]):
        self.root = root
        self.layout = Layout(root / "output" / "tiny")
        self.env = os.environ | env | {"PYTHONPATH": str(root), "STEP_SECONDS": "0.05"}
        shutil.copytree(STAND_INS, root, dirs_exist_ok=True)
        shutil.copytree(Path(ablations.__file__).parent, root / "ablations")
        for folder in ("grids", "studies"):
            shutil.copytree(STAND_INS / folder, root / "ablations" / folder, dirs_exist_ok=True)
        self.submitters = []

    def submit(self, alphas: list[float], actions: dict[float, str | list[str]]) -> "Submitter":
        """Start ``python -m ablations --engine slurm`` on cells of the cross entropy.

        Args:
            alphas: of the cells.
            actions: alpha -> what the stand-in of train_net.py does.
        """
        grid = {"title": "Varying alpha", "columns": ["alpha"], "common": {"loss": "ce"}}
        grid["rows"] = [{"alpha": alpha} for alpha in alphas]
        folder = self.root / "ablations"
        # JSON is YAML.
        (folder / "grids" / "alpha.yaml").write_text(json.dumps(grid), encoding="utf-8")
        (folder / "studies" / "tiny.yaml").write_text(json.dumps(STUDY), encoding="utf-8")
        by_cell = {self.cell(alpha): action for alpha, action in actions.items()}
        (self.root / "actions.json").write_text(json.dumps(by_cell), encoding="utf-8")
        self.submitters.append(Submitter(self))
        return self.submitters[-1]

    @staticmethod
    def cell(alpha: float) -> str:
        return f"ce-alpha{alpha:g}-seed1"

    def records(self) -> dict[str, Record]:
        records, refused = load_folder(self.layout.records)
        assert not refused
        return records

    def arrays(self) -> list[Array]:
        content = json.loads((self.layout.slurm / "arrays.json").read_text(encoding="utf-8"))
        return [Array(**array) for array in content]

    def lines(self, name: str) -> list[str]:
        """The cells in ``started.txt`` or ``ended.txt``."""
        path = self.root / name
        return path.read_text(encoding="utf-8").split() if path.exists() else []


class Submitter:
    """A process that has submitted cells and waits for them."""

    def __init__(self, checkout: Checkout):
        self.checkout = checkout
        number = len(checkout.submitters)
        self.log_file = checkout.root / f"submitter{number}.log"
        with self.log_file.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SUBMITTER, "--study", "tiny", "--engine", "slurm"],
                cwd=checkout.root,
                env=checkout.env,
                stdout=log,
                stderr=log,
            )

    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8")

    def wait_for(self, what: Callable[[], Any]) -> Any:
        """Call a function until it returns a true value; return the value."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not (found := what()):
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)
        return found

    def pid(self, alpha: float) -> int:
        """The cell's process, which has done half of its steps and waits."""
        path = self.checkout.root / "pids" / self.checkout.cell(alpha)
        self.wait_for(path.exists)
        return int(path.read_text(encoding="utf-8"))

    def end(self) -> int:
        return self.process.wait(WAIT_SECONDS)
