"""The examples in CONTRIBUTING.md work as printed, and the files that gamma passes are right."""

import importlib
import re

import pytest

from ablations.study.cell import Cell
from ablations.study.grid import load_grid
from focal_star.config import CONFIGS, load_config
from focal_star.evaluation.analysis import analyse
from focal_star.evaluation.ap import coco_eval, essentials
from focal_star.evaluation.matches import find_matches
from reports.page import contents
from reports.page.blocks import FigureBlock, TableBlock
from reports.results.labels import axis_label, setting_text
from tests.docs.pages import ROOT, blocks, marked
from tests.reports.conftest import make_folder, make_study

__all__ = ["make_folder", "make_study"]

PAGE = ROOT / "CONTRIBUTING.md"
ENTRY = "test: entry of "


def example(note: str, **names) -> dict:
    """The names that a code example defines, run beside ``names``."""
    found = dict(names)
    exec(compile(marked(PAGE, note), note, "exec"), found)
    return found


@pytest.fixture
def with_entries(monkeypatch):
    """The entries of the example of an axis, added where the page says."""
    notes = [b.note for b in blocks(PAGE, "python") if b.note.startswith(ENTRY)]
    assert len(notes) == 2
    for note in notes:
        module, name = note.removeprefix(ENTRY).split()
        module = importlib.import_module(module)
        added = eval("{" + marked(PAGE, note.removeprefix("test: ")) + "}", vars(module))
        for key, value in added.items():
            assert key not in getattr(module, name)
            monkeypatch.setitem(getattr(module, name), key, value)


def test_a_new_axis_reaches_the_config_and_has_a_label(with_entries, tmp_path):
    (tmp_path / "box.yaml").write_text(marked(PAGE, "a grid with the new axis"))
    default, other = load_grid("box", tmp_path).rows
    cell = Cell(other.setting, 1)
    assert cell.id == "focal-alpha0.25-gamma1-box0.11-seed1"
    assert Cell(default.setting, 1).id == "focal-alpha0.25-gamma1-seed1"
    cfg = load_config(CONFIGS / "mini" / "retinanet_R_18_FPN.yaml", cell.overrides())
    assert cfg.MODEL.RETINANET.SMOOTH_L1_LOSS_BETA == 0.11
    assert axis_label("box_beta").header == "box β"
    assert setting_text(other.setting.as_dict()).endswith("box β = 0.11")


def test_a_new_table_is_a_block_of_the_page(make_folder):
    folder = make_folder()
    names = example("a table") | {"tabled": contents.tabled}
    block = marked(PAGE, "a block of the table")
    (nothing,) = eval(block, names | {"results": folder.load()})
    assert "No cell has been trained yet." in nothing.parts
    folder.add(folder.cell(0, 0), 4.0)
    table, note = eval(block, names | {"results": folder.load()})
    assert isinstance(table, TableBlock) and "31.0" in table.table.to_markdown()
    assert note.parts == ("Mean training time per cell, in seconds.",)


def test_a_new_figure_is_a_block_of_the_page(make_folder):
    folder = make_folder()
    plot = example("a plot")["train_times"]
    names = example("a figure", train_times=plot) | {"illustrated": contents.illustrated}
    block = marked(PAGE, "a block of the figure")
    (nothing,) = eval(block, names | {"results": folder.load()})
    assert "No cell has been trained yet." in nothing.parts
    folder.add(folder.cell(1, 0), 4.0)
    (figure,) = eval(block, names | {"results": folder.load()})
    assert isinstance(figure, FigureBlock) and figure.name == "train_times"
    assert "star: 31 s" in figure.figure.alternative and "<svg" in figure.figure.svg
    assert plot(["a", "b"], [1.0, 3.0]).patches[1].get_width() == 3.0


def test_a_new_metric_agrees_with_the_analysis():
    image = {"width": 9, "height": 9}
    content = {
        "images": [{"id": i, "file_name": f"{i}.png"} | image for i in (1, 2)],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 4, 4], "area": 16,
             "iscrowd": 0},
        ],
        "categories": [{"id": 1, "name": "a"}],
    }  # fmt: skip
    results = [
        {"image_id": i, "category_id": 1, "bbox": [0, 0, 4, 4], "score": s}
        for i, s in ((1, 0.9), (1, 0.8), (2, 0.7))
    ]
    metric = example("a metric")["detections_per_image"]
    assert metric(find_matches(coco_eval(essentials(content), results))) == 3 / 2
    counts = analyse(content, results, 0)["counts"]
    assert counts["detections"] / counts["images"] == 3 / 2


@pytest.mark.parametrize(("where", "longest"), [("loss", 15), ("table", 10)])
def test_described_path_of_gamma_exists(where, longest):
    """Each step is a file that contains the names that the page gives."""
    text = PAGE.read_text(encoding="utf-8")
    steps = re.search(
        rf"<!-- test: the way to the {where} -->\n((?:\d+\. .*\n(?:   .*\n)*)+)", text
    )
    found = re.findall(
        r"^\d+\. \[`([\w/.]+)`\]\(([\w/.]+)\):\s+`(\w+)`((?:.*\n(?:   .*\n)*))", steps[1], re.M
    )
    assert len(found) == len(re.findall(r"^\d+\. ", steps[1], re.M)) and 5 < len(found) <= longest
    for shown, path, name, rest in found:
        assert path.endswith(shown), shown
        content = (ROOT / path).read_text(encoding="utf-8")
        for word in (name, *re.findall(r"`(\w+)`", rest)):
            assert re.search(rf"\b{word}\b", content), f"{path}: {word}"


@pytest.mark.parametrize("package", ["projects/focal_star/focal_star", "ablations", "reports"])
def test_every_room_is_on_the_map(package):
    rooms = [path.parent.name for path in (ROOT / package).glob("*/__init__.py")]
    links = re.findall(rf"^\| \[`(\w+)`\]\({package}/\w+\) \|", PAGE.read_text("utf-8"), re.M)
    assert rooms and set(rooms) <= set(links)
