"""A workplace: a root with stand-ins for what trains and prepares; the runner is the real one."""

import copy
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ablations import run as runner
from ablations.cell import Cell, Layout, Setting
from ablations.plan import Grid, Row, Study
from ablations.record import Record, load_folder
from ablations.run import Request

STAND_INS = Path(__file__).parent / "stand_ins"

PREPARED = {
    "config_sha256": "c0" * 32,
    "dataset": {"name": "digits", "sha256": "da" * 32, "train": {"num_images": 8}},
    "weights": {"path": "output/cache/weights.pth", "sha256": "3e" * 32},
}


class Workplace:
    """The root that the runner is pointed at.

    Attributes:
        root: takes the place of the repository's root; it is the working directory.
        prepared: what the stand-in for the preparation says.
    """

    def __init__(self, root: Path):
        self.root, self.prepared = root, copy.deepcopy(PREPARED)
        shutil.copytree(STAND_INS, root, dirs_exist_ok=True)

    @staticmethod
    def cell(alpha: float, seed: int = 1) -> Cell:
        return Cell(Setting.of(loss="ce", alpha=alpha), seed)

    def act(self, actions: dict[float | str, str]) -> None:
        """Say what the stand-ins do: alpha of a cell of seed 1, or "prepare" -> action."""
        by_name = {
            self.cell(key).id if isinstance(key, float) else key: action
            for key, action in actions.items()
        }
        (self.root / "actions.json").write_text(json.dumps(by_name), encoding="utf-8")

    def request(self, *alphas: float, seeds: int = 1, jobs: int = 1, **changes) -> Request:
        """A study of the cross entropy at these alphas."""
        rows = tuple(Row({"alpha": a}, Setting.of(loss="ce", alpha=a)) for a in alphas)
        study = Study(
            name="tiny",
            title="a tiny study",
            config="tiny.yaml",
            dataset="digits",
            grids=(Grid("alpha", "Varying alpha", ("alpha",), rows),),
            seeds=tuple(range(1, seeds + 1)),
        )
        layout = Layout(Path("output/tiny"))
        return replace(Request(study, layout, None, jobs, Path("output/cache")), **changes)

    def started(self) -> list[str]:
        """The cells whose process was started, in that order."""
        path = self.root / "started.txt"
        return path.read_text(encoding="utf-8").split() if path.exists() else []

    def records(self) -> dict[str, Record]:
        records, refused = load_folder(self.root / "output" / "tiny" / "records")
        assert not refused
        return records


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    place = Workplace(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "ROOT", tmp_path)
    monkeypatch.setattr(runner, "TRAIN_NET", "train_net.py")
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(runner, "_prepare", lambda request: place.prepared)
    return place


@pytest.fixture
def make_record():
    """A function: a record of a done cell, with fields replaced."""

    def make(**changes) -> Record:
        cell = Cell(Setting.of(loss="focal", alpha=0.25, gamma=2), 1)
        values = {
            "cell": cell.id,
            "fingerprint": "f1" * 32,
            "setting": cell.setting.as_dict(),
            "seed": cell.seed,
            "status": "done",
            "command": "python train_net.py",
            "result": {"metrics": {"AP": 21.25, "APs": None}, "error_iteration": None},
            "run": {"wall_seconds": 40.5},
            "dataset": {"name": "digits"},
        }
        return Record(**values | changes)

    return make
