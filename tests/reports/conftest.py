"""A small study and a folder to put records of it into."""

import fcntl
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from ablations.identity.prepared import Prepared, config_files_sha256
from ablations.identity.snapshot import CONFIGS, checkout
from ablations.records import speed as speeds
from ablations.records.record import Record, save
from ablations.storage.json_files import write_json
from ablations.storage.layout import Layout
from ablations.study.axes import AXES
from ablations.study.cell import Cell, Setting
from ablations.study.grid import Grid, Row
from ablations.study.study import Study
from reports.results.load import Results, load
from tests.ablations.speeds import speed_of

FIXTURES = Path(__file__).parents[1] / "fixtures" / "reports"

DATASET = {
    "name": "digits_in_scenes",
    "sha256": "5f" * 32,
    "train": {"num_images": 80, "num_instances": 310},
    "val": {"num_images": 40, "num_instances": 155},
}

BASE = {"depth": 18, "scale": 128}
"""What the small study's config has of the axes that need not be named."""

DIVERGENCE = {
    "iteration": 37,
    "bad": ["loss_cls is nan", "gradient norm is <b>"],
    "bad_gradients": {"count": 7, "first": ["head.cls_score.bias", "head.cls_score.weight"]},
    "bad_weights": {"count": 0, "first": []},
    "ranks": [
        {"images": [{"image_id": 3, "file_name": "3.png"}, {"image_id": 5, "file_name": "|"}]}
    ],
    "replay": "python train_net.py --resume OUTPUT_DIR OUTPUT_DIR",
}
"""What is kept of a run that diverged, as far as the report shows it."""

DEPTHS, SCALES = {50: 18, 101: 34}, {400: 88, 600: 128}
"""The paper's values and what the small study has for them."""


def grid(name: str, loss: str, rows: list[dict], published: tuple = (), source: str = "") -> Grid:
    """A grid of one loss whose columns are the rows' keys."""
    return Grid(
        name=name,
        title=f"Table {name}",
        columns=tuple(rows[0]),
        rows=tuple(Row(row, Setting.of(loss=loss, **row)) for row in rows),
        published=published,
        source=source,
        setup="COCO, ResNet-50-FPN, 600 px" if published else "",
    )


def speed_grid() -> Grid:
    """FL over depth and input scale, as in the paper: its values stand for the study's own."""
    rows = []
    for depth, scale in ((d, s) for d in DEPTHS for s in SCALES):
        ours = {"depth": DEPTHS[depth], "scale": SCALES[scale]}
        setting = Setting.of(BASE, loss="focal", alpha=0.25, gamma=2.0, **ours)
        rows.append(Row({"depth": depth, "scale": scale}, setting, ours))
    published = (
        {"depth": "50", "scale": "400", "AP": "30.5", "AP50": "47.8", "ms_per_image": "64"},
        {"depth": "50", "scale": "600", "AP": "34.3", "AP50": "53.2", "ms_per_image": "98"},
        {"depth": "101", "scale": "400", "AP": "31.9", "AP50": "49.5", "ms_per_image": "81"},
        {"depth": "101", "scale": "600", "AP": "36.0", "AP50": "55.2", "ms_per_image": "122"},
    )
    return Grid(
        name="speed",
        title="Table speed",
        columns=("depth", "scale"),
        rows=tuple(rows),
        metrics=("AP", "AP50", "AP75", "APs", "ms_per_image"),
        published=published,
        source="A paper, Table 1e",
        setup="COCO test-dev, timed on an Nvidia M40",
    )


def calm_rounds(architecture: Setting) -> list[float]:
    """Ten rounds of about 7.25 ms, and half a ms for each layer."""
    ms = 7.25 + architecture.as_dict().get("depth", 18) / 2
    return [ms * (1 + share / 1000) for share in (0, -2, 2, -1, 1, 0, -2, 2, -1, 1)]


CODE = SimpleNamespace(losses=cache(checkout().losses))
"""The checkout's code, whose losses are hashed once for all records."""


class StudyFolder:
    """A study's output folder, to be filled record by record. It has times per image.

    Attributes:
        prepared: what stands before the cells; :meth:`describe` writes it into the folder.
    """

    def __init__(self, root: Path, study: Study):
        self.study, self.layout = study, Layout(root)
        root.mkdir(parents=True, exist_ok=True)
        self.time(calm_rounds)
        config = {}
        for axis in AXES.values():
            *parents, key = axis.key.split(".")
            node = config
            for parent in parents:
                node = node.setdefault(parent, {})
            node[key] = None
        self.prepared = Prepared(
            config=config,
            config_files=config_files_sha256(CONFIGS / study.config),
            dataset=DATASET,
            weights={
                "": {"path": "w.pth", "sha256": "cd" * 32, "accuracy": 90.0},
                "MODEL.RESNETS.DEPTH 34": {"path": "w34.pth", "sha256": "ef" * 32},
            },
        )
        self._held = []

    def time(self, rounds: Callable[[Setting], Sequence[float]], **changes) -> None:
        """Write the times per image: architecture -> its time in each round."""
        settings = [row.setting for grid in self.study.grids for row in grid.rows]
        speeds.save(speed_of(settings, rounds, **changes), self.layout.speed)

    def cell(self, grid_number: int, row: int, seed: int = 1) -> Cell:
        return Cell(self.study.grids[grid_number].rows[row].setting, seed)

    def add(
        self,
        cell: Cell,
        ap: float | None = None,
        status: str = "done",
        stale: tuple[str, ...] = (),
        analysis: dict | None = None,
        **changes,
    ) -> None:
        """Write a record; ``changes`` replaces fields of it.

        Args:
            cell: whose it is.
            ap: its AP.
            status: how it ended.
            stale: the parts of its identity that have changed since.
            analysis: what its evaluation left beside its metrics, see :mod:`analyses`.
            changes: field -> value.
        """
        identity = self.prepared.identities([cell], code=CODE)[cell]
        identity = replace(identity, **dict.fromkeys(stale, "old"))
        result = {
            "iterations": 60,
            "first_loss": {"predicted": 1.13, "measured": 1.2},
            "curves": {"iteration": [20, 40, 60], "loss_cls": [1.2, 0.6, 0.4 + cell.seed / 10]},
        }
        if status == "done":
            result["metrics"] = {
                "AP": ap,
                "AP50": None if ap is None else 2 * ap,
                "AP75": None if ap is None else ap / 2,
            }
            if analysis is not None:
                result["analysis"] = analysis
        if status == "diverged":
            result |= {"iterations": 37, "error_iteration": 37, "divergence": DIVERGENCE}
            result["curves"] = {"iteration": [20, 37], "loss_cls": [3e4, None]}
        record = Record(
            cell=cell.id,
            fingerprint=identity.fingerprint,
            identity=identity.as_dict(),
            setting=cell.setting.as_dict(),
            seed=cell.seed,
            status=status,
            command="python train_net.py",
            error="" if status == "done" else f"FloatingPointError: {status}",
            result={} if status == "failed" else result,
            run={
                "train_seconds": 30.0 + cell.seed,
                "eval_seconds": 2.0,
                "wall_seconds": 35.0 + cell.seed,
                "finished": "2025-01-02T03:04:05Z",
                "commit": "0123456789abcdef0123456789abcdef01234567",
                "config": {"values": cell.setting.config(), "follows": {}},
                "environment": {"cpu": "Example CPU", "num_threads": 1, "torch": "2.15.0"},
            },
            dataset=DATASET,
        )
        save(msgspec.structs.replace(record, **changes), self.layout.record(cell.id))

    def describe(self, categories: tuple[str, ...] = ("0", "1")) -> None:
        """Write what stands beside the records: the request and what was prepared."""
        write_json(
            self.layout.study,
            {
                "study": self.study.name,
                "grids": [grid.name for grid in self.study.grids],
                "seeds": len(self.study.seeds),
                "dataset": "",
                "command": "make ablations GRIDS='alpha star'",
            },
        )
        dataset = {**DATASET, "folder": "/somewhere", "categories": list(categories)}
        write_json(self.layout.prepared, vars(self.prepared) | {"dataset": dataset})

    def hold(self, cell: Cell) -> None:
        """Hold the cell's lock, as its process does while it trains."""
        path = self.layout.cell_lock(cell.id)
        path.parent.mkdir(exist_ok=True)
        self._held.append(path.open("w"))
        fcntl.flock(self._held[-1], fcntl.LOCK_EX)

    def load(self) -> Results:
        return load(self.layout, self.study)


@pytest.fixture(scope="session")
def make_study():
    """A function of the number of seeds: a study with a published table and one without."""

    def make(seeds: int = 1) -> Study:
        alpha = grid(
            "alpha",
            "ce",
            [{"alpha": 0.25}, {"alpha": 0.5}, {"alpha": 0.75}],
            published=(
                {"alpha": "0.25", "AP": "10.8", "AP50": "16.0", "AP75": "11.7"},
                {"alpha": "0.50", "AP": "30.2", "AP50": "46.7", "AP75": "32.8"},
                {"alpha": "0.75", "AP": "31.1", "AP50": "49.4", "AP75": "33.0"},
            ),
            source="A paper, Table 1a",
        )
        star = grid(
            "star",
            "focal_star",
            [
                {"gamma": 0.0, "alpha": 0.75},
                {"gamma": 0.5, "alpha": 0.25},
                {"gamma": 2.0, "alpha": 0.25},
            ],
        )
        return Study(
            name="small",
            title="A small study",
            config="mini/retinanet_R_18_FPN.yaml",
            dataset="digits_in_scenes",
            grids=(alpha, star),
            seeds=tuple(range(1, seeds + 1)),
            base=BASE,
        )

    return make


@pytest.fixture
def make_folder(tmp_path, make_study):
    """A function of the number of seeds: an empty output folder of that study.

    ``grids`` take the place of its own, ``more_seeds`` gives some of them other numbers.
    """

    def make(seeds: int = 1, grids: tuple[Grid, ...] = (), more_seeds: dict | None = None):
        study = make_study(seeds)
        study = replace(study, grids=grids or study.grids, more_seeds=more_seeds or {})
        return StudyFolder(tmp_path / "output" / "small", study)

    return make


@pytest.fixture(scope="session")
def broken_folder(tmp_path_factory, make_study):
    """One seed; a run of every kind: done, diverged, failed, refused, stale, running, missing."""
    study = make_study(1)
    study = replace(study, grids=(*study.grids, speed_grid()))
    folder = StudyFolder(tmp_path_factory.mktemp("broken"), study)
    folder.describe(categories=("0", "<script>|", "half \ud800"))
    folder.add(folder.cell(0, 0), 4.26)
    folder.add(folder.cell(0, 1), status="failed", error="line 1\n```<b>&")
    folder.add(folder.cell(0, 2), 13.04)
    folder.add(folder.cell(1, 2), status="diverged")
    folder.layout.record(folder.cell(1, 1).id).write_text("[]", encoding="utf-8")
    folder.add(folder.cell(2, 0), 20.04)
    folder.add(folder.cell(2, 1), 24.96, stale=("config", "dataset"))
    folder.hold(folder.cell(2, 2))
    return folder


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The folder of hand-written and golden files."""
    return FIXTURES
