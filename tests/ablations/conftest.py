"""A workplace: a root with stand-ins for training and preparation; the runner is real."""

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ablations.identity import prepared as preparing
from ablations.identity import snapshot
from ablations.identity.fingerprint import Identity
from ablations.identity.prepared import Prepared
from ablations.identity.snapshot import Code
from ablations.records.record import Record, load_folder
from ablations.runner import job as jobs
from ablations.runner import processes, speed_process
from ablations.runner import run as runner
from ablations.runner.job import Job
from ablations.runner.request import Request
from ablations.storage import layout as layouts
from ablations.storage.json_files import write_json
from ablations.storage.layout import Layout
from ablations.study.cell import Cell, Setting
from ablations.study.grid import Grid, Row
from ablations.study.study import Study
from ablations.tuning import halves
from tests.ablations.processes import end_of

ROOTED = (halves, jobs, layouts, preparing, processes, snapshot, speed_process)
"""The modules that know the repository's root."""

STAND_INS = Path(__file__).parent / "stand_ins"

PREPARED = Prepared(
    config=json.loads((STAND_INS / "config.json").read_text(encoding="utf-8")),
    config_files="",
    dataset={"name": "digits", "sha256": "da" * 32, "train": {"num_images": 8}},
    weights={"": {"path": "output/cache/weights.pth", "sha256": "3e" * 32}},
)


class Workplace:
    """The root in which the runner works.

    Attributes:
        root: takes the place of the repository's root; it is the working directory.
        train_net: the stand-in of train_net.py.
        prepared: what the preparation says, without a process.
    """

    def __init__(self, root: Path):
        self.root, self.prepared = root, copy.deepcopy(PREPARED)
        self.train_net = root / snapshot.TRAIN_NET
        shutil.copytree(STAND_INS, root, dirs_exist_ok=True)

    @staticmethod
    def cell(alpha: float, seed: int = 1) -> Cell:
        return Cell(Setting.of(loss="ce", alpha=alpha), seed)

    def act(self, actions: dict[float | str, str | list[str]]) -> None:
        """Set the stand-ins' actions: alpha of a seed-1 cell, cell id or "prepare" -> action."""
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
        return self._lines("started.txt")

    def ended(self) -> list[str]:
        """The cells that were trained to the end, in that order."""
        return self._lines("ended.txt")

    def records(self, study: str = "tiny") -> dict[str, Record]:
        records, refused = load_folder(self.root / "output" / study / "records")
        assert not refused
        return records

    def _lines(self, name: str) -> list[str]:
        path = self.root / name
        return path.read_text(encoding="utf-8").split() if path.exists() else []


@pytest.fixture
def in_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """The workplace with the real preparation, whose process is a stand-in."""
    monkeypatch.chdir(tmp_path)
    for module in ROOTED:
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.01)
    return Workplace(tmp_path)


@pytest.fixture
def workplace(in_root: Workplace, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """The workplace with given prepared content, without a process."""
    config_files = preparing.config_files_sha256(snapshot.CONFIGS / "tiny.yaml")
    in_root.prepared = replace(in_root.prepared, config_files=config_files)

    def prepare(
        study: Study, layout: Layout, overrides: list[str], *, resolve_only=False, **_
    ) -> Prepared:
        prepared = replace(in_root.prepared, overrides=overrides)
        if not resolve_only:
            write_json(layout.prepared, vars(prepared))
        return prepared

    monkeypatch.setattr(preparing, "prepare", prepare)
    return in_root


@pytest.fixture
def job(workplace: Workplace) -> Job:
    """The cross entropy at alpha 0.5, to be run from the checkout."""
    request = workplace.request(0.5)
    cell = workplace.cell(0.5)
    identity = workplace.prepared.identities([cell])[cell]
    code = Code(workplace.root, commit="c0ffee")
    return runner._job(request, cell, identity, workplace.prepared, code)


@pytest.fixture
def undisturbed(job: Job, workplace: Workplace) -> dict:
    """The result of an undisturbed cell; request this fixture before the cell runs."""
    record = end_of(job)
    shutil.rmtree(workplace.root / "output")
    for name in ("started.txt", "ended.txt"):
        (workplace.root / name).unlink()
    return record.result


@pytest.fixture
def make_record() -> Callable[..., Record]:
    """A function that returns the record of a done cell, with some fields replaced."""

    def make(**changes) -> Record:
        cell = Cell(Setting.of(loss="focal", alpha=0.25, gamma=2), 1)
        identity = Identity("c0" * 32, "da" * 32, "3e" * 32, cell.seed)
        values = {
            "cell": cell.id,
            "fingerprint": identity.fingerprint,
            "identity": identity.as_dict(),
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
