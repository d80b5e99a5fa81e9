"""A small study and a folder to put records of it into."""

from dataclasses import replace
from pathlib import Path

import pytest

from ablations.cell import Cell, Layout, Setting
from ablations.plan import Grid, Row, Study
from ablations.record import Record, save, write_json
from reports.load import Results, load

FIXTURES = Path(__file__).parents[1] / "fixtures" / "reports"

DATASET = {
    "name": "digits_in_scenes",
    "sha256": "5f" * 32,
    "train": {"num_images": 80, "num_instances": 310},
    "val": {"num_images": 40, "num_instances": 155},
}


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


class StudyFolder:
    """A study's output folder, to be filled record by record."""

    def __init__(self, root: Path, study: Study):
        self.study, self.layout = study, Layout(root)
        root.mkdir(parents=True, exist_ok=True)

    def cell(self, grid_number: int, row: int, seed: int = 1) -> Cell:
        return Cell(self.study.grids[grid_number].rows[row].setting, seed)

    def add(self, cell: Cell, ap: float | None = None, status: str = "done", **changes) -> None:
        """Write a record; ``changes`` replaces fields of it."""
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
        if status == "diverged":
            result |= {"iterations": 37, "error_iteration": 37}
            result["curves"] = {"iteration": [20, 37], "loss_cls": [3e4, None]}
        record = Record(
            cell=cell.id,
            fingerprint="a1b2",
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
                "environment": {"cpu": "Example CPU", "num_threads": 1, "torch": "2.15.0"},
            },
            dataset=DATASET,
        )
        save(replace(record, **changes), self.layout.record(cell.id))

    def describe(self, categories: tuple[str, ...] = ("0", "1")) -> None:
        """Write what stands beside the records: the request and what was prepared."""
        write_json(
            self.layout.study,
            {
                "study": self.study.name,
                "grids": [grid.name for grid in self.study.grids],
                "seeds": len(self.study.seeds),
                "dataset": None,
                "command": "make ablations GRIDS='alpha star'",
                "commit": "0123456789abcdef0123456789abcdef01234567",
            },
        )
        write_json(
            self.layout.prepared,
            {
                "dataset": {**DATASET, "folder": "/somewhere", "categories": list(categories)},
                "weights": {
                    "path": "/w.pth",
                    "sha256": "cd" * 32,
                    "accuracy": 90.0,
                    "seconds": 48.0,
                },
            },
        )

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
        return Study("small", "A small study", "mini/x.yaml", "digits_in_scenes", (alpha, star),
                     tuple(range(1, seeds + 1)))  # fmt: skip

    return make


@pytest.fixture
def make_folder(tmp_path, make_study):
    """A function of the number of seeds: an empty output folder of that study."""
    return lambda seeds=1: StudyFolder(tmp_path / "output" / "small", make_study(seeds))


@pytest.fixture(scope="session")
def broken_folder(tmp_path_factory, make_study):
    """One seed; a run of every kind: done, undefined, diverged, failed, missing and refused."""
    folder = StudyFolder(tmp_path_factory.mktemp("broken"), make_study(1))
    folder.describe(categories=("0", "<script>|", "half \ud800"))
    folder.add(folder.cell(0, 0), 4.26)
    folder.add(folder.cell(0, 1), status="failed", error="line 1\n```<b>&")
    folder.add(folder.cell(0, 2), 13.04)
    folder.add(folder.cell(1, 2), status="diverged")
    folder.layout.record(folder.cell(1, 1).id).write_text("[]", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The folder of hand-written and golden files."""
    return FIXTURES
